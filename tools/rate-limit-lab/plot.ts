/** An experiment in a terminal: a row of columns for each algorithm under one time axis, and a box with the numbers. */
import { styleText } from 'node:util'
import type { Burst, BurstRow } from '@shop/redis-kit/rate-limit/lab'
import { columnWidthMs, countPerColumn, labels, limitText, remarksOf, verdictOf } from './text.ts'

export interface PlotOptions {
  /** Columns of the terminal. */
  width: number
  /** Block characters; else plain ASCII. */
  isUnicode: boolean
  isColoured: boolean
}

const labelWidth = 17
const minWidth = 60
const maxWidth = 160
const blocks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

type Colour = 'bold' | 'dim' | 'green' | 'red' | 'cyan'

export function plot(burst: Burst, options: PlotOptions): string {
  const { axisMs, rows, sentMs } = burst
  const roomCount = Math.min(maxWidth, Math.max(minWidth, options.width)) - labelWidth - 1
  const widthMs = columnWidthMs(axisMs, roomCount)
  const paint = painter(options)
  const edges = new Set(burst.edgesMs.map((edgeMs) => Math.floor(edgeMs / widthMs)))
  const sent = countPerColumn(sentMs, axisMs, widthMs)
  const admitted = rows.map(({ admittedMs }) => countPerColumn(admittedMs, axisMs, widthMs))
  const most = Math.max(...admitted.flat())
  const line = (label: string, bars: string) => `${label.padEnd(labelWidth)}${bars}`
  return [
    paint('bold', burst.title),
    paint('dim', `${limitText(burst)}.`),
    paint('dim', burst.lesson),
    '',
    line('requests', paint('dim', bars(sent, { highest: Math.max(...sent), edges, options }))),
    ...rows.map(({ algorithm }, index) =>
      line(labels[algorithm], paint('cyan', bars(admitted[index] ?? [], { highest: most, edges, options }))),
    ),
    ...axisLines(axisMs, sent.length, edges).map((text) => paint('dim', line('', text))),
    paint('dim', line('', `A column is ${widthMs} ms, the highest is ${most}; | begins a window.`)),
    '',
    ...box(burst, options),
    ...remarksOf(burst),
    '',
  ].join('\n')
}

interface BarOptions {
  highest: number
  /** Columns at which a window of the fixed window begins. */
  edges: ReadonlySet<number>
  options: PlotOptions
}

/** A column that is not empty shows. In ASCII it is the count itself. */
function bars(counts: readonly number[], { highest, edges, options: { isUnicode } }: BarOptions): string {
  const emptyOf = (column: number) => (edges.has(column) ? (isUnicode ? '┊' : ':') : ' ')
  const block = (count: number) => blocks[Math.max(0, Math.ceil((count / highest) * blocks.length) - 1)] ?? ''
  const digit = (count: number) => (count > 9 ? '#' : String(count))
  return counts
    .map((count, column) => (count === 0 ? emptyOf(column) : isUnicode ? block(count) : digit(count)))
    .join('')
}

/** The edges, and the times of the two ends. */
function axisLines(axisMs: number, columnCount: number, edges: ReadonlySet<number>): string[] {
  const marks = Array.from({ length: columnCount }, (_, column) => (edges.has(column) ? '|' : '-'))
  const end = `${axisMs} ms`
  return [marks.join(''), `0${end.padStart(columnCount - 1)}`]
}

const heads = ['admitted', 'expected', 'most in any 1 s'] as const

function box(burst: Burst, options: PlotOptions): string[] {
  const paint = painter(options)
  const widths = [labelWidth - 2, ...heads.map((head) => head.length)]
  const [v, h, corners] = options.isUnicode ? (['│', '─', '┌┬┐├┼┤└┴┘'] as const) : (['|', '-', '+++++++++'] as const)
  const rule = (from: number) =>
    `${corners[from]}${widths.map((width) => h.repeat(width + 2)).join(corners[from + 1])}${corners[from + 2]}`
  const cells = (texts: readonly string[]) =>
    `${v}${texts.map((text, index) => ` ${index === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[index] ?? 0)} `).join(v)}${v}`
  const row = (own: BurstRow) => {
    const figures = [own.admittedCount, own.expected.hereCount, own.mostPerPeriod].map(String)
    const verdict = paint(own.hasComeOut ? 'green' : 'red', verdictOf(own))
    return `${cells([labels[own.algorithm], ...figures])} ${verdict}`
  }
  const sent = `of ${burst.sentMs.length}`
  return [rule(0), cells(['', ...heads]), cells(['', sent, '', '']), rule(3), ...burst.rows.map(row), rule(6)]
}

function painter({ isColoured }: PlotOptions) {
  return (colour: Colour, text: string) => (isColoured ? styleText(colour, text, { validateStream: false }) : text)
}

type Output = NodeJS.WritableStream & { isTTY?: boolean; columns?: number }

/** What the terminal can show. NO_COLOR and FORCE_COLOR are those of Node. */
export function plotOptionsOf(stream: Output, env: NodeJS.ProcessEnv): PlotOptions {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || ''
  const isUnicode = Boolean(stream.isTTY) && (/utf-?8/i.test(locale) || env.WT_SESSION !== undefined)
  const isColoured = styleText('bold', 'x', { stream }) !== 'x'
  return { width: stream.columns || 80, isUnicode, isColoured }
}
