/**
 * A result as bars, in SVG that needs nothing else: no font, no script, light and dark by the reader's setting. A bar is as long as
 * the first ratio of its table, or as its first figure where there is no ratio. `desc` says it in words, the Markdown beside it in full.
 */
import { formatFigure, formatRatio } from './figures.ts'
import type { Result, Row, TableResult } from './result.ts'

const width = 860
const margin = 24
const labelWidth = 290
const figureWidth = 170
const barWidth = width - 2 * margin - labelWidth - figureWidth
const rowHeight = 26
const titleHeight = 64
const panelGap = 20

const style = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .sheet { fill: #ffffff } .title { font-size: 16px; font-weight: 600 } .quiet { fill: #59636e }
    .bar { fill: #8c959f } .ours { fill: #cf222e } .limit { fill: none; stroke: #8c959f; stroke-dasharray: 4 3 } .control { fill: #c8ced5 }
    .bold { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .sheet { fill: #0d1117 } .quiet { fill: #9198a1 }
      .bar { fill: #6e7681 } .ours { fill: #ff7b72 } .limit { stroke: #9198a1 } .control { fill: #3d444d }
    }`

export function draw(result: Result): string {
  const panels: string[] = []
  let y = margin
  for (const table of result.tables) {
    panels.push(panel(table, y))
    y += heightOf(table) + panelGap
  }
  const height = y + 2 * rowHeight
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc">
  <title id="title">${escapeXml(result.title)}</title>
  <desc id="desc">${escapeXml(result.tables.map(inWords).join(' '))}</desc>
  <style>${style}
  </style>
  <rect class="sheet" width="${width}" height="${height}" rx="8"/>
${panels.join('\n')}
${legend(y)}
  <text class="quiet" x="${margin}" y="${y + rowHeight + 8}">${escapeXml(origin(result))}</text>
</svg>
`
}

function panel(table: TableResult, top: number): string {
  const largest = Math.max(...table.rows.map((row) => drawn(table, row)))
  const subtitle = [table.ratios[0]?.label, table.columns[0]?.label].filter((part) => part !== undefined).join(' · ')
  const bars = table.rows.map((row, index) => bar(table, row, { y: top + titleHeight + index * rowHeight, largest }))
  return `  <g>
    <text class="title" x="${margin}" y="${top + 20}">${escapeXml(table.title)}</text>
    <text class="quiet" x="${margin}" y="${top + 42}">${escapeXml(subtitle)}</text>
${bars.join('\n')}
  </g>`
}

function bar(table: TableResult, row: Row, { y, largest }: { y: number; largest: number }): string {
  const length = Math.max(2, (drawn(table, row) / largest) * barWidth)
  const kind = row.role === 'peer' ? 'bar' : row.role
  const bold = row.role === 'ours' ? ' class="bold"' : ''
  const x = margin + labelWidth
  return `    <text${bold} x="${margin}" y="${y + 16}">${escapeXml(row.label)}</text>
    <rect class="${kind}" x="${x}" y="${y + 3}" width="${length.toFixed(1)}" height="${rowHeight - 9}" rx="2"/>
    <text${bold} x="${(x + length + 8).toFixed(1)}" y="${y + 16}">${escapeXml(figure(table, row))}</text>`
}

function drawn({ columns }: TableResult, { medians, ratios }: Row): number {
  return ratios[0]?.median ?? medians[columns[0]?.metric ?? ''] ?? 0
}

function figure({ columns }: TableResult, { medians, ratios }: Row): string {
  const [main] = columns
  if (!main) return ''
  const [times] = ratios
  const value = formatFigure(medians[main.metric] ?? Number.NaN, main.format)
  return times ? `${formatRatio(times)} · ${value}` : value
}

function legend(top: number): string {
  const entries = [
    ['ours', 'this repository'],
    ['bar', 'other libraries'],
    ['control', 'by hand'],
    ['limit', 'raw limit'],
  ]
  return entries
    .map(([kind, text], index) => {
      const x = margin + index * 150
      return `  <rect class="${kind}" x="${x}" y="${top - 8}" width="18" height="12" rx="2"/><text class="quiet" x="${x + 26}" y="${top + 3}">${text}</text>`
    })
    .join('\n')
}

function origin({ runId, startedAt, machine, load, versions }: Result): string {
  const servers = Object.entries(versions).slice(0, 2)
  const names = servers.map(([name, version]) => `${name} ${version}`).join(', ')
  return `Run ${runId}, ${startedAt.slice(0, 10)}, ${machine.cpu}, ${machine.coreCount} cores, load ${load.before[0]}; ${names}. Only ratios count.`
}

function inWords(table: TableResult): string {
  return `${table.title}: ${table.rows.map((row) => `${row.label} ${figure(table, row)}`).join(', ')}.`
}

function heightOf(table: TableResult): number {
  return titleHeight + table.rows.length * rowHeight
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
