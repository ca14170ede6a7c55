/** A result as text: for a terminal, and as Markdown for docs. */
import { formatFigure, formatRatio, formatSpread } from './figures.ts'
import type { Judgement } from './judge.ts'
import type { Result, TableResult } from './result.ts'

/** Header and rows; the first column is the label. */
export function cellsOf({ columns, ratios, rows }: TableResult): string[][] {
  const header = ['', ...columns.map(({ label }) => label), ...ratios.map(({ label }) => label)]
  const body = rows.map(({ label, role, medians, ratios: own }) => [
    role === 'ours' ? `> ${label}` : label,
    ...columns.map(({ metric, format }) => formatFigure(medians[metric] ?? Number.NaN, format)),
    ...own.map(formatRatio),
  ])
  return [header, ...body]
}

/** Each column as wide as its widest cell; all but the first to the right, where figures belong. */
export function alignCells(rows: readonly (readonly string[])[], side: 'left' | 'right' = 'right'): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell[column === 0 || side === 'left' ? 'padEnd' : 'padStart'](widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function toTerminal(result: Result): string {
  const tables = result.tables.map((table) =>
    [
      `${table.title}`,
      `${table.note}`,
      '',
      alignCells(cellsOf(table)),
      ...(table.goals.length > 0 ? ['', alignCells(table.goals.map(goalCells), 'left')] : []),
    ].join('\n'),
  )
  return [header(result), ...tables].join('\n\n').concat('\n')
}

/** Also what somebody reads who does not see the picture. */
export function toMarkdown(result: Result): string {
  const tables = result.tables.map((table) => {
    const [head = [], ...body] = cellsOf(table).map((row) => row.map((cell) => cell.replace(/^> (.*)/, '**$1**')))
    const goals = table.goals.map((goal) => {
      const [verdict = '', value = '', text = ''] = goalCells(goal)
      return `- ${verdict}: ${text} (${value})`
    })
    const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
    const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
    const lines = [`## ${table.title}`, '', folded(table.note), '', line(head), line(rule), ...body.map(line)]
    return [...lines, ...(goals.length > 0 ? ['', ...goals] : [])].join('\n')
  })
  const picture = `![The same figures as bars](${result.suite}.svg)`
  const intro = header(result).split('\n').slice(1).map(folded).join('\n\n')
  return [`# ${result.title}`, intro, picture, ...tables].join('\n\n').concat('\n')
}

/** Lines of at most 130 characters, broken between words. */
function folded(text: string): string {
  return text.replace(/(.{1,130})(?: |$)/g, '$1\n').trimEnd()
}

function header({ title, runId, machine, load, versions, roundCount, durationMs, isQuick, startedAt }: Result): string {
  return [
    title,
    `Run ${runId}, ${startedAt.slice(0, 16).replace('T', ' ')} UTC: medians of ${roundCount} interleaved rounds of ${durationMs} ms${isQuick ? ' (quick: too short to be quoted)' : ''}.`,
    `${machine.cpu}, ${machine.coreCount} cores, ${machine.memoryGiB} GiB, ${machine.platform}; load ${load.before.join(' ')} before, ${load.after.join(' ')} after.`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    'Only ratios count: they are made within a round. Absolute figures are those of this machine at that hour.',
  ].join('\n')
}

function goalCells({ met, value, text, against }: Judgement): string[] {
  const spread = against === undefined ? figureSpread(value) : `${formatSpread(value)} ${against}`
  return [met ? 'met' : 'NOT met', spread, text]
}

function figureSpread({ median, low, high }: Judgement['value']): string {
  const [middle, from, to] = [median, low, high].map((one) =>
    one >= 1e6 ? `${(one / 1e6).toFixed(2)} M` : one.toFixed(1),
  )
  return `${middle} (${from}-${to})`
}
