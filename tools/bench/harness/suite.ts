/**
 * What a comparison consists of. A suite starts servers and has tables; a table has contenders, which do the same work by
 * different means, and goals. Both the process that compares and each contender's own process read the same declaration:
 * the first looks at the names, the second calls one `start`.
 */

/** What one round of one contender gave, by metric. */
export type Sample = Record<string, number>

export interface Plan {
  /** How long to work. What is not a matter of time (a stampede) ignores it. */
  durationMs: number
  /** Differs in every round of every contender, the warm-up included: for keys that must be new. */
  round: number
}

/** A contender, ready to be measured any number of times. */
export interface Running {
  measure(plan: Plan): Promise<Sample>
  close(): Promise<void>
}

/** `limit`: how fast it could be. `control`: what people write by hand. */
export type Role = 'ours' | 'peer' | 'limit' | 'control'

export interface Contender<Context> {
  id: string
  label: string
  role: Role
  /** Runs in the contender's own process and imports what it needs there, so that nobody carries another's library. */
  start(context: Context): Promise<Running>
}

export type Format = 'perSecond' | 'us' | 'ms' | 'count' | 'bytes'

export interface Column {
  metric: string
  label: string
  format: Format
}

export interface RatioColumn {
  metric: string
  /** The contender that all are divided by. */
  to: string
  label: string
}

export interface Goal {
  /** As a sentence that ends the line: `at least 1.25 x plain ioredis`. */
  text: string
  metric: string
  contender: string
  /** Compared with each of these in the same round; all have to hold. Without, the figure itself is compared. */
  than?: readonly string[]
  atLeast?: number
  atMost?: number
}

export interface Table<Context> {
  id: string
  title: string
  /** What the work is, and what has to be known to read the figures. */
  note: string
  /** What is drawn is the first ratio or, without one, the first of these. */
  columns: readonly [Column, ...Column[]]
  /** Further columns: a figure as a multiple of a contender's, made within each round. */
  ratios: readonly RatioColumn[]
  /** Rounds are so many times as long: for work that takes a while to get going. @default 1 */
  durationFactor?: number
  contenders: readonly Contender<Context>[]
  goals: readonly Goal[]
}

export interface Suite<Context = unknown> {
  name: string
  title: string
  /** npm packages whose versions belong to the result. */
  packages: readonly string[]
  /** Starts the servers. The context is sent to the contenders' processes, so it must survive JSON. */
  setUp(report: (line: string) => void): Promise<SetUp<Context>>
  tables: readonly Table<Context>[]
}

export interface SetUp<Context> {
  context: Context
  /** Of the servers. */
  versions: Record<string, string>
  tearDown(): Promise<void>
}

export const closedLoopColumns = [
  { metric: 'perSecond', label: 'ops/s', format: 'perSecond' },
  { metric: 'cpuUs', label: 'CPU/op', format: 'us' },
  { metric: 'p50Us', label: 'p50', format: 'us' },
  { metric: 'p99Us', label: 'p99', format: 'us' },
] as const satisfies readonly [Column, ...Column[]]
