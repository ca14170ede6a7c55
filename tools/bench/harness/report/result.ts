/** What is kept of a run, as JSON: every round of everybody, so that it can be looked at and drawn again. */
import { readFileSync } from 'node:fs'
import type { Machine } from '../machine.ts'
import type { Column, RatioColumn, Role, Sample, Table } from '../suite.ts'
import { type Judgement, judge, type Samples, valuesOf } from './judge.ts'
import { median, type Ratio, ratio } from './statistics.ts'

export const FORMAT = 1

export interface Result {
  format: typeof FORMAT
  /** The same for all suites that one call of `npm run bench` measured. */
  runId: string
  suite: string
  title: string
  startedAt: string
  finishedAt: string
  /** Too short to be quoted. */
  isQuick: boolean
  roundCount: number
  durationMs: number
  machine: Machine
  /** Averages over 1, 5 and 15 minutes, before the first round and after the last. */
  load: { before: number[]; after: number[] }
  versions: Record<string, string>
  tables: TableResult[]
}

export interface TableResult {
  id: string
  title: string
  note: string
  columns: readonly Column[]
  ratios: readonly RatioColumn[]
  rows: Row[]
  goals: Judgement[]
}

export interface Row {
  id: string
  label: string
  role: Role
  /** Of the rounds; by metric. */
  medians: Sample
  /** One for each of the table's ratio columns, in their order. */
  ratios: Ratio[]
  /** Every round's figure, by metric. */
  rounds: Record<string, number[]>
}

export function summarise(table: Table<never>, samples: Samples): TableResult {
  const { id, title, note, columns } = table
  const measured = table.contenders.filter((contender) => samples[contender.id])
  const ratios = table.ratios.filter(({ to }) => samples[to])
  const rows = measured.map(({ id, label, role }): Row => {
    const medians = Object.fromEntries(
      columns.map(({ metric }) => [metric, rounded(median(valuesOf(samples, id, metric) ?? []))]),
    )
    const ownRatios = ratios.map(({ metric, to }) =>
      roundedRatio(ratio(valuesOf(samples, id, metric) ?? [], valuesOf(samples, to, metric) ?? [])),
    )
    return { id, label, role, medians, ratios: ownRatios, rounds: byMetric(samples[id] ?? []) }
  })
  const judgements = table.goals.map((goal) => judge(goal, samples)).filter((goal) => goal !== undefined)
  const goals = judgements.map((goal) => ({ ...goal, value: roundedRatio(goal.value) }))
  return { id, title, note, columns, ratios, rows, goals }
}

/** Throws when the file is not a result, or one of another release. */
export function readResult(file: string): Result {
  const result = JSON.parse(readFileSync(file, 'utf8')) as Partial<Result>
  if (result.format !== FORMAT || typeof result.runId !== 'string' || !Array.isArray(result.tables)) {
    throw new Error(`${file} is not a result of this version of npm run bench`)
  }
  return result as Result
}

/** Four digits are more than any figure here is good for. */
function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

function roundedRatio({ median, low, high }: Ratio): Ratio {
  return { median: rounded(median), low: rounded(low), high: rounded(high) }
}

function byMetric(rounds: readonly Sample[]): Record<string, number[]> {
  const metrics = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(metrics.map((metric) => [metric, rounds.map((sample) => rounded(sample[metric] ?? 0))]))
}
