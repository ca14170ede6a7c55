/**
 * `npm run bench -- compare a.json b.json`. The same code on the same machine differs by 20 to 40 % from one hour to the next,
 * which is more than most changes are worth: so absolute figures of different runs are not put side by side at all.
 */
import { formatFigure, formatSpread } from './figures.ts'
import type { Result, TableResult } from './result.ts'
import { alignCells } from './text.ts'

export interface Comparison {
  /** Were absolute figures refused? */
  isRefused: boolean
  text: string
}

export interface CompareOptions {
  /** Show the ratios that each run measured within itself. @default false */
  withRatios?: boolean
}

export function compare(a: Result, b: Result, { withRatios = false }: CompareOptions = {}): Comparison {
  if (a.runId === b.runId) return { isRefused: false, text: `${together([a, b], figures)}\n` }
  const text = withRatios
    ? `Ratios measured within each run, without absolute figures.\n\n${together([a, b], ratios)}`
    : refusal(a, b)
  return { isRefused: !withRatios, text: `${text}\n` }
}

function refusal(a: Result, b: Result): string {
  const differences = differencesOf(a, b)
  return [
    `Not compared: these are two runs (${a.runId} of ${a.startedAt}, ${b.runId} of ${b.startedAt}).`,
    'Absolute figures of one machine drift by 20 to 40 % between runs, with its load, temperature and neighbours.',
    ...(differences.length > 0 ? [`Besides, they differ in: ${differences.join('; ')}.`] : []),
    'Contenders of one run share the machine, so only ratios can be compared: add --ratios.',
    'To compare two versions, measure both in one run, as two contenders of a table.',
  ].join('\n')
}

function differencesOf(a: Result, b: Result): string[] {
  const names = [...new Set([...Object.keys(a.versions), ...Object.keys(b.versions)])]
  const versions = names
    .filter((name) => a.versions[name] !== b.versions[name])
    .map((name) => `${name} ${a.versions[name] ?? 'none'} and ${b.versions[name] ?? 'none'}`)
  const machines = a.machine.cpu === b.machine.cpu ? [] : [`machine ${a.machine.cpu} and ${b.machine.cpu}`]
  return [...machines, `load ${a.load.before[0]} and ${b.load.before[0]}`, ...versions]
}

type Cells = (table: TableResult, id: string) => string[]

function together([a, b]: readonly [Result, Result], cells: Cells): string {
  const pairs = a.tables.flatMap((table) => {
    const other = b.tables.find(({ id }) => id === table.id)
    return other && a.suite === b.suite ? [[table, other] as const] : []
  })
  if (pairs.length === 0) return 'They have no table in common.'
  return pairs
    .map(([one, other]) => {
      const rows = one.rows.map(({ id, label }) => [label, ...cells(one, id), ...cells(other, id)])
      return `${one.title}\n\n${alignCells(rows)}`
    })
    .join('\n\n')
}

const figures: Cells = ({ rows, columns }, id) => {
  const row = rows.find((one) => one.id === id)
  return columns.map(({ metric, format }) => (row ? formatFigure(row.medians[metric] ?? Number.NaN, format) : '-'))
}

const ratios: Cells = ({ rows, ratios }, id) => {
  const row = rows.find((one) => one.id === id)
  return ratios.map((_, index) => (row?.ratios[index] ? formatSpread(row.ratios[index]) : '-'))
}
