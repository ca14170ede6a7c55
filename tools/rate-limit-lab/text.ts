/** Words and numbers that the terminal and the picture share. */
import type { Burst, BurstRow } from '@shop/redis-kit/rate-limit/lab'
import { counted } from '../command-line/counted.ts'

export const labels: Record<BurstRow['algorithm'], string> = {
  'fixed-window': 'fixed window',
  'sliding-window-log': 'sliding log',
  'sliding-window-counter': 'sliding counter',
  'token-bucket': 'token bucket',
  gcra: 'GCRA',
  'leaky-queue': 'leaky queue',
}

/** `20 per s, burst 20`. */
export function limitText({ limit, burst }: Burst): string {
  const period = limit.periodMs === 1_000 ? 's' : `${limit.periodMs} ms`
  return `${limit.count} per ${period}, burst ${burst}`
}

/** Whether a row came out, in three words at most. */
export function verdictOf({ hasComeOut, expected }: BurstRow): string {
  if (!hasComeOut) return 'WRONG'
  return expected.hereCount === expected.onTimeCount ? 'as expected' : 'right, but late'
}

/** What the machine did to the schedule, and what went wrong: one sentence each. */
export function remarksOf(burst: Burst): string[] {
  const { rows, latestMs, uncertainMs, attempts, isOnTime } = burst
  const wrong = rows.flatMap(({ algorithm, deviations: [first, ...others] }) => {
    if (!first) return []
    const verb = first.wasAdmitted ? 'admitted' : 'refused'
    const more = others.length > 0 ? `, and ${others.length} more` : ''
    return [`${labels[algorithm]}: the request at ${first.atMs} ms was ${verb} wrongly${more}.`]
  })
  const timing = `The latest request was ${latestMs.toFixed(1)} ms late; instants are known to ${uncertainMs.toFixed(1)} ms.`
  const late = isOnTime
    ? []
    : [`Late in ${counted(attempts, 'attempt')}: "expected" is what an algorithm admits at these instants.`]
  return [...wrong, timing, ...late]
}

/** Widths of a column of time that a reader can count with. */
const roundWidthsMs = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1_000]

/** The narrowest round width at which the axis has no more columns than that. */
export function columnWidthMs(axisMs: number, maxColumnCount: number): number {
  return roundWidthsMs.find((widthMs) => axisMs / widthMs <= maxColumnCount) ?? axisMs
}

/** How many of the instants lie in each column of the axis. What comes after its end is in the last one. */
export function countPerColumn(instantsMs: readonly number[], axisMs: number, widthMs: number): number[] {
  const columns = Array.from({ length: Math.ceil(axisMs / widthMs) }, () => 0)
  for (const instantMs of instantsMs) {
    const index = Math.min(columns.length - 1, Math.max(0, Math.floor(instantMs / widthMs)))
    columns[index] = (columns[index] ?? 0) + 1
  }
  return columns
}

/** The part of a picture that the time axis spans, from left to right. */
export interface Frame {
  left: number
  right: number
}

/** Where an instant lies. */
export function xOf(atMs: number, axisMs: number, { left, right }: Frame): number {
  return left + Math.min(1, Math.max(0, atMs / axisMs)) * (right - left)
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
