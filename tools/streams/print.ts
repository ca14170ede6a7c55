/** What a person sees of the streams. */
import type { DeadLetter, DeadLetterDetail, StreamGroup, StreamOverview } from '@shop/contracts/streams'
import { counted } from '../command-line/counted.ts'

export function overviewText({ items, unavailable }: StreamOverview): string {
  const topics = items.flatMap(({ topic, partitionCount, lengthCount, deadLetterCount, groups }) => [
    `${topic}   ${counted(partitionCount, 'partition')}, ${counted(lengthCount, 'event')} kept, ${counted(deadLetterCount, 'dead letter')}`,
    ...groups.map(groupText),
    ...(groups.length === 0 ? ['  no group has read it yet'] : []),
    '',
  ])
  const missing = unavailable.map(
    ({ service, topics }) => `${topics.join(', ')}: unavailable, ${service} does not answer`,
  )
  return lines([...topics, ...missing])
}

function groupText({
  group,
  lagCount,
  isLagExact,
  pendingCount,
  retryCount,
  oldestAgeMs,
  consumers,
}: StreamGroup): string {
  const lag = `${isLagExact ? '' : 'about '}${lagCount} unread`
  const oldest = oldestAgeMs > 0 ? `, the oldest ${age(oldestAgeMs)} old` : ''
  const busy = consumers.filter((one) => one.pendingCount > 0).map((one) => `${one.consumer} has ${one.pendingCount}`)
  const readers = `${counted(consumers.length, 'consumer')}${busy.length > 0 ? ` (${busy.join(', ')})` : ''}`
  return `  ${group}: ${lag}, ${pendingCount} pending, ${retryCount} of them waiting for a retry${oldest}; ${readers}`
}

export function lettersText(letters: readonly DeadLetter[], hasMore: boolean): string {
  const rows = letters.map(({ id, group, type, key, attemptCount, deadSince, reason }) =>
    [id, group, type ?? '-', key ?? '-', `${attemptCount}x`, deadSince, shortened(reason)].map(printable),
  )
  const table = rows.length === 0 ? ['No dead letters.'] : aligned([header, ...rows])
  return lines([...table, ...(hasMore ? ['… and more: raise --limit'] : [])])
}

const header = ['id', 'group', 'type', 'key', 'tried', 'since', 'reason']

export function letterText(letter: DeadLetterDetail): string {
  const { body, trace, otherFields, ...rest } = letter
  const facts = { ...rest, ...otherFields }
  const rows = Object.entries(facts).map(([name, value]) => [name, printable(String(value))])
  return lines([...aligned(rows), ...block('trace', trace), ...block('body', pretty(body ?? ''))])
}

function block(name: string, text: string): string[] {
  return text === '' ? [] : ['', `${name}:`, ...text.split('\n').map(printable)]
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}

/** Somebody else's text on a terminal: without what a terminal would obey. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?')
}

function shortened(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text
}

function age(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function lines(texts: readonly string[]): string {
  return `${texts.join('\n').trimEnd()}\n`
}
