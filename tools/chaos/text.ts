/** A run as a person reads it. */
import type { Check } from './books.ts'
import type { RouteFigures } from './ledger.ts'
import type { Incident } from './plan.ts'
import { type ChaosFigures, isUnbroken } from './run.ts'

const mostExamples = 5

export function figuresText(figures: ChaosFigures): string {
  const { seed, incidents, startedMs, routes, checks, endedByThemselves, settledMs, dataDir } = figures
  const requestCount = routes.reduce((sum, route) => sum + route.requestCount, 0)
  return [
    `Injected, seed ${seed}`,
    ...table([['at s', 'for s', 'fault', 'target'], ...incidentRows(incidents, startedMs)]),
    '',
    `Requests: ${requestCount}`,
    ...table([['route', 'sent', 'failed', 'how', 'failed after the cause ended, for'], ...routes.map(routeRow)]),
    '',
    'Books',
    ...table([['check', 'checked', 'lost', 'doubled', 'wrong'], ...checks.map(checkRow)]),
    ...checks.flatMap(examples),
    '',
    settledMs === undefined
      ? 'BROKEN: orders, refunds or events were unsettled at the deadline.'
      : `Everything settled ${(settledMs / 1_000).toFixed(1)} s after the last shopper stopped.`,
    endedByThemselves.length === 0
      ? 'No process ended by itself.'
      : `BROKEN: processes that ended by themselves: ${endedByThemselves.join(', ')}.`,
    routes.some(({ outcomes }) => outcomes['500'])
      ? 'BROKEN: some answers are 500, an unhandled error.'
      : 'No answer is a 500.',
    isUnbroken(figures) ? 'The books balance.' : `Repeat the faults with --seed ${seed}.`,
    ...(dataDir ? [`Data and logs: ${dataDir}`] : []),
    '',
  ].join('\n')
}

function incidentRows(incidents: readonly Incident[], startedMs: number): string[][] {
  const seconds = (ms: number) => (ms / 1_000).toFixed(1)
  return incidents.map((one) => [
    seconds(one.startMs - startedMs),
    one.durationMs === 0 ? '-' : seconds(one.durationMs),
    one.fault,
    one.target,
  ])
}

function routeRow({
  route,
  requestCount,
  failedCount,
  outcomes,
  longestOutageMs,
  outageCause,
}: RouteFigures): string[] {
  const how = Object.entries(outcomes)
    .toSorted(([, a], [, b]) => b - a)
    .map(([outcome, count]) => `${count} x ${outcome}`)
    .join(', ')
  const outage = outageCause
    ? `${(longestOutageMs / 1_000).toFixed(1)} s (${outageCause.fault} ${outageCause.target})`
    : '-'
  return [route, String(requestCount), String(failedCount), how || '-', outage]
}

function checkRow({ what, lookedAtCount, lost, doubled, wrong }: Check): string[] {
  return [what, lookedAtCount, lost.length, doubled.length, wrong.length].map(String)
}

function examples({ what, lost, doubled, wrong }: Check): string[] {
  return Object.entries({ lost, doubled, wrong }).flatMap(([kind, all]) =>
    all.slice(0, mostExamples).map((one) => `  ${kind}: ${what}: ${one}`),
  )
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map(
    (row) =>
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}`,
  )
}
