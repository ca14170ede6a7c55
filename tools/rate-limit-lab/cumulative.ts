/** The lower part of a picture: how many were admitted up to each instant, a stepped line for each algorithm. */
import type { Burst, BurstRow } from '@shop/redis-kit/rate-limit/lab'
import { escapeXml, type Frame, labels, xOf } from './text.ts'

export interface PanelOptions {
  top: number
  height: number
  frame: Frame
  /** The left edge of the labels. */
  margin: number
}

const entryHeight = 24

export function cumulativePanel({ rows, axisMs }: Burst, { top, height, frame, margin }: PanelOptions): string {
  const most = Math.max(...rows.map(({ admittedCount }) => admittedCount))
  const bottom = top + height
  const yOf = (count: number) => bottom - (count / most) * height
  const lines = rows.map((row) => `  <path class="line ${row.algorithm}" d="${steps(row)}"/>`)
  const ordered = rows.toSorted((a, b) => b.admittedCount - a.admittedCount)
  return `  <text x="${margin}" y="${top + 12}">in total</text>
  <text class="quiet end" x="${frame.left - 8}" y="${top + 5}">${most}</text>
  <text class="quiet end" x="${frame.left - 8}" y="${bottom}">0</text>
  <line class="axis" x1="${frame.left}" y1="${bottom}" x2="${frame.right}" y2="${bottom}"/>
${lines.join('\n')}
${ordered.map(entry).join('\n')}`

  /** Up by one at each admission, and on to the end of the axis. */
  function steps({ admittedMs }: BurstRow): string {
    const ups = admittedMs.map((atMs, index) => `H${xOf(atMs, axisMs, frame).toFixed(1)}V${yOf(index + 1).toFixed(1)}`)
    return `M${frame.left} ${bottom}${ups.join('')}H${frame.right}`
  }
  function entry({ algorithm, admittedCount }: BurstRow, index: number): string {
    const y = top + 8 + index * entryHeight
    const x = frame.right + 12
    return `  <line class="line ${algorithm}" x1="${x}" y1="${y}" x2="${x + 30}" y2="${y}"/>
  <text x="${x + 38}" y="${y + 4}">${escapeXml(`${admittedCount} ${labels[algorithm]}`)}</text>`
  }
}
