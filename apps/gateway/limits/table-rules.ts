/** Mistakes of a table whose policies are sound: names used twice, rules that never match, classes left out. */
import { type RouteClass, routeClasses, routes } from '../routes.ts'
import type { Bulkhead, DimensionName, PolicyRule, PolicySource } from './policy.ts'

/** A body that is not streamed is held in memory. */
export const maxBufferedBytes = 1_048_576

export interface TableProblem {
  /** The policy, rule or bulkhead to blame; the table itself when it lacks one. */
  of: object
  reason: string
}

/** A list with a mistake in one of its entries is undefined: what it lacks is not known. */
interface TableRead {
  rules: PolicySource['rules'] | undefined
  bulkheads: PolicySource['bulkheads'] | undefined
}

export function tableProblems({ rules = [], bulkheads }: TableRead): TableProblem[] {
  const ofRules = [...repeatedNames(rules), ...shadowedRules(rules)]
  if (bulkheads === undefined) return ofRules
  return [...ofRules, ...bulkheads.flatMap(bulkheadProblems), ...gaps({ bulkheads })]
}

function repeatedNames(rules: readonly PolicyRule[]): TableProblem[] {
  const seen = new Set<string>()
  return rules.flatMap(({ policies }) =>
    policies.flatMap((policy) => {
      const isRepeated = seen.has(policy.name)
      seen.add(policy.name)
      return isRepeated ? [{ of: policy, reason: `the name "${policy.name}" is used twice` }] : []
    }),
  )
}

/** Per dimension the first rule that contains a class applies: later ones with no class of their own are a mistake. */
function shadowedRules(rules: readonly PolicyRule[]): TableProblem[] {
  const covered = new Map<DimensionName, Set<RouteClass>>()
  return rules.flatMap((rule) => {
    const before = covered.get(rule.dimension) ?? new Set<RouteClass>()
    covered.set(rule.dimension, before)
    const reason = `never matches: earlier rules of the dimension ${rule.dimension} contain all of its routes`
    return coverage(rule, before) === 'none' ? [{ of: rule, reason: `this rule ${reason}` }] : []
  })
}

function bulkheadProblems(of: Bulkhead): TableProblem[] {
  const isCrossed = of.maxConcurrentPerAddress > of.maxConcurrent
  const buffered = (of.routes === 'all' ? routeClasses : of.routes).filter((one) => !isStreamed(one))
  return [
    ...(isCrossed ? [{ of, reason: 'maxConcurrentPerAddress is above maxConcurrent' }] : []),
    ...(of.bodyMaxBytes > maxBufferedBytes && buffered.length > 0
      ? [{ of, reason: `bodyMaxBytes must be at most 1MiB for bodies that are buffered: ${buffered.join(', ')}` }]
      : []),
  ]
}

function isStreamed(routeClass: RouteClass): boolean {
  return routes.some(({ limits, body }) => limits === routeClass && body === 'stream')
}

function gaps(table: Pick<PolicySource, 'bulkheads'>): TableProblem[] {
  const { bulkheads } = table
  const covered = new Set<RouteClass>()
  const shadowed = bulkheads.filter((bulkhead) => coverage(bulkhead, covered) === 'none')
  const missing = routeClasses.filter((one) => !covered.has(one))
  return [
    ...shadowed.map((of) => ({ of, reason: 'this bulkhead never matches: earlier ones contain all of its routes' })),
    ...(missing.length > 0 ? [{ of: table, reason: `no bulkhead contains ${missing.join(', ')}` }] : []),
  ]
}

/** Adds the classes to those that are covered. `none`: all of them were. */
function coverage({ routes }: Pick<PolicyRule, 'routes'>, covered: Set<RouteClass>): 'some' | 'none' {
  const classes = routes === 'all' ? routeClasses : routes
  const isNew = classes.some((one) => !covered.has(one))
  for (const one of classes) covered.add(one)
  return isNew ? 'some' : 'none'
}
