/**
 * An experiment as a picture, in SVG that needs nothing else: no font, no script, light and dark by the reader's setting. Rows of
 * columns under one time axis, what was admitted up to each instant below, the numbers at the side. `desc` says it in words.
 */
import type { Burst, BurstRow } from '@shop/redis-kit/rate-limit/lab'
import { cumulativePanel } from './cumulative.ts'
import { columnWidthMs, countPerColumn, escapeXml, type Frame, labels, limitText, remarksOf, xOf } from './text.ts'

const width = 860
const margin = 24
const rowsTop = 112
const rowHeight = 46
const barHeight = 34
const cumulativeHeight = 170
const frame: Frame = { left: 146, right: 656 }
const admittedX = 746
const mostX = width - margin
const maxColumnCount = 130
/** So that one admission among many still shows. */
const minBarHeight = 3
const columnGap = 0.8

const style = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .sheet { fill: #ffffff } .title { font-size: 16px; font-weight: 600 } .quiet { fill: #59636e } .bold { font-weight: 600 }
    .end { text-anchor: end } .middle { text-anchor: middle } .figure { font-size: 20px; font-weight: 600; text-anchor: end }
    .bar { fill: #0969da } .sent { fill: #afb8c1 } .axis { stroke: #8c959f } .edge { stroke: #8c959f; stroke-dasharray: 3 3 }
    .line { fill: none; stroke-width: 2 }
    .fixed-window { stroke: #cf222e } .sliding-window-log { stroke: #0969da; stroke-dasharray: 9 3 }
    .sliding-window-counter { stroke: #1a7f37; stroke-dasharray: 2 3 } .token-bucket { stroke: #9a6700; stroke-dasharray: 12 3 2 3 }
    .gcra { stroke: #8250df; stroke-dasharray: 5 4 } .leaky-queue { stroke: #1f2328; stroke-width: 1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .sheet { fill: #0d1117 } .quiet { fill: #9198a1 }
      .bar { fill: #58a6ff } .sent { fill: #484f58 } .axis, .edge { stroke: #6e7681 }
      .fixed-window { stroke: #ff7b72 } .sliding-window-log { stroke: #58a6ff } .sliding-window-counter { stroke: #56d364 }
      .token-bucket { stroke: #e3b341 } .gcra { stroke: #d2a8ff } .leaky-queue { stroke: #e6edf3 }
    }`

export function draw(burst: Burst): string {
  const rowsBottom = rowsTop + (burst.rows.length + 1) * rowHeight
  const cumulativeTop = rowsBottom + 64
  const footerTop = cumulativeTop + cumulativeHeight + 52
  const remarks = remarksOf(burst)
  const height = footerTop + (remarks.length + 1) * 20
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc">
  <title id="title">${escapeXml(burst.title)}</title>
  <desc id="desc">${escapeXml(inWords(burst))}</desc>
  <style>${style}
  </style>
  <rect class="sheet" width="${width}" height="${height}" rx="8"/>
  <text class="title" x="${margin}" y="40">${escapeXml(burst.title)}</text>
  <text class="quiet" x="${margin}" y="62">${escapeXml(`${limitText(burst)}. ${burst.lesson}`)}</text>
${edges(burst, { from: rowsTop - 10, to: rowsBottom })}
${rows(burst)}
${axis(burst, rowsBottom)}
${cumulativePanel(burst, { top: cumulativeTop, height: cumulativeHeight, frame, margin })}
${edges(burst, { from: cumulativeTop, to: cumulativeTop + cumulativeHeight })}
${axis(burst, cumulativeTop + cumulativeHeight)}
${[origin(burst), ...remarks].map((text, index) => `  <text class="quiet" x="${margin}" y="${footerTop + index * 20}">${escapeXml(text)}</text>`).join('\n')}
</svg>
`
}

function rows(burst: Burst): string {
  const { axisMs, sentMs } = burst
  const widthMs = columnWidthMs(axisMs, maxColumnCount)
  const sent = countPerColumn(sentMs, axisMs, widthMs)
  const admitted = burst.rows.map(({ admittedMs }) => countPerColumn(admittedMs, axisMs, widthMs))
  const most = Math.max(...admitted.flat())
  const heads = `  <text class="quiet end" x="${admittedX}" y="${rowsTop - 6}">admitted</text>
  <text class="quiet end" x="${mostX}" y="${rowsTop - 6}">most in 1 s</text>
  <text class="quiet" x="${margin}" y="${rowsTop - 6}">per ${widthMs} ms</text>`
  return [
    heads,
    row('requests', { kind: 'sent', counts: sent, most: Math.max(...sent), y: rowsTop }),
    `  <text class="quiet end" x="${admittedX}" y="${rowsTop + barHeight}">of ${sentMs.length}</text>`,
    ...burst.rows.map((own, index) => {
      const y = rowsTop + (index + 1) * rowHeight
      const columns = row(labels[own.algorithm], { kind: 'bar', counts: admitted[index] ?? [], most, y })
      return `${columns}\n${figures(own, y + barHeight)}`
    }),
  ].join('\n')
}

interface Columns {
  kind: 'sent' | 'bar'
  counts: readonly number[]
  most: number
  y: number
}

/** A label, a line to stand on, and one path with a column wherever there is a count. */
function row(label: string, { kind, counts, most, y }: Columns): string {
  const bottom = y + barHeight
  const columnWidth = (frame.right - frame.left) / counts.length
  const columns = counts.map((count, index) => {
    if (count === 0) return ''
    const height = Math.max(minBarHeight, (count / most) * barHeight).toFixed(1)
    const x = (frame.left + index * columnWidth).toFixed(1)
    return `M${x} ${bottom}v-${height}h${(columnWidth - columnGap).toFixed(1)}v${height}z`
  })
  return `  <text x="${margin}" y="${bottom}">${escapeXml(label)}</text>
  <line class="axis" x1="${frame.left}" y1="${bottom}" x2="${frame.right}" y2="${bottom}"/>
  <path class="${kind}" d="${columns.join('')}"/>`
}

function figures({ admittedCount, mostPerPeriod }: BurstRow, y: number): string {
  return `  <text class="figure" x="${admittedX}" y="${y}">${admittedCount}</text>
  <text class="figure" x="${mostX}" y="${y}">${mostPerPeriod}</text>`
}

/** Where a window of the fixed window ends and the next begins. */
function edges({ edgesMs, axisMs }: Burst, { from, to }: { from: number; to: number }): string {
  const lines = edgesMs.map((edgeMs) => {
    const x = xOf(edgeMs, axisMs, frame).toFixed(1)
    return `  <line class="edge" x1="${x}" y1="${from}" x2="${x}" y2="${to}"/>`
  })
  return lines.join('\n')
}

/** The times of the two ends and of the edges. */
function axis({ edgesMs, axisMs }: Burst, y: number): string {
  const near = axisMs * 0.06
  const inner = edgesMs.filter((edgeMs) => edgeMs > near && edgeMs < axisMs - 2 * near)
  const text = (atMs: number, anchor: string) =>
    `  <text class="quiet ${anchor}" x="${xOf(atMs, axisMs, frame).toFixed(1)}" y="${y + 18}">${atMs}</text>`
  const end = `  <text class="quiet end" x="${frame.right}" y="${y + 18}">${axisMs} ms</text>`
  return [text(0, ''), ...inner.map((edgeMs) => text(edgeMs, 'middle')), end].join('\n')
}

function origin({ startedAt, hasComeOut, rows: own, sentMs }: Burst): string {
  const decisions = (own.length * sentMs.length).toLocaleString('en')
  const verdict = hasComeOut ? 'are those of' : 'are NOT those of'
  return `${startedAt.slice(0, 10)}. Dashed: an edge of the window. All ${decisions} decisions ${verdict} a reference at the same instants.`
}

function inWords({ title, lesson, rows: own, sentMs }: Burst): string {
  const figuresOf = ({ algorithm, admittedCount, mostPerPeriod }: BurstRow) =>
    `${labels[algorithm]} ${admittedCount} of ${sentMs.length}, at most ${mostPerPeriod} in any second`
  return `${title}. Admitted: ${own.map(figuresOf).join('; ')}. ${lesson}`
}
