/** The limits as administrators see and change them. */
import type { LimitInForce, LimitOverride, LimitOverview, LimitValues } from '@shop/contracts/limits'
import type { FieldError } from '@shop/contracts/problem'
import { errors } from '../errors.ts'
import { type RouteClass, routeClasses } from '../routes.ts'
import { allPolicies, problemsOfOverride } from './overrides/effective.ts'
import type { Change, Overrides } from './overrides/overrides.ts'
import type { OverrideSync } from './overrides/sync.ts'
import { type AppliedPolicy, bulkheadOf, type LimitPolicy, policiesOf } from './policy.ts'
import { isPerKey, type PolicyProblem } from './policy-rules.ts'
import type { OverriddenPolicyStore, OverriddenTable } from './policy-store.ts'

interface Dependencies {
  store: OverriddenPolicyStore
  overrides: Overrides
  sync: OverrideSync
}

/** One change: its policy, the revision that it is based on, and its administrator. */
interface Changing {
  policy: string
  revision: string
  by: string
}

export type Limits = ReturnType<typeof createLimits>

export function createLimits({ store, overrides, sync }: Dependencies) {
  return { overview, change, reset }

  async function overview(): Promise<LimitOverview> {
    const [instances, changes] = await Promise.all([overrides.reports(), overrides.history(), sync.refresh()])
    const details = store.details()
    const { table, unused } = details
    return {
      version: table.version,
      policies: allPolicies(table).map((one) => inForce(details, one)),
      classes: routeClasses.map((one) => classOf(details, one)),
      maxConnectionsPerAddress: table.maxConnectionsPerAddress,
      unused: [...unused],
      instances,
      changes,
    }
  }

  /** Rejects with policy-not-found, policy-contradictory or policy-changed. */
  async function change(changing: Changing, { revision: _basis, ...values }: LimitOverride): Promise<LimitInForce> {
    await sync.refresh()
    const { file } = store.details()
    const { now, inFile } = find(changing.policy)
    const problems = problemsOfOverride(file, inFile, values)
    if (problems.length > 0) {
      const reasons = problems.map(({ reason }) => reason).join('; ')
      throw errors.policyContradictory(reasons, { fields: problems.map(fieldOf) })
    }
    await apply({ ...changing, action: 'override', from: valuesOf(now.policy), to: values })
    return inForce(store.details(), find(changing.policy).now)
  }

  /** Returns to the file's values. Also removes an override that is not in use. Rejects with policy-not-found or policy-changed. */
  async function reset(changing: Changing): Promise<void> {
    await sync.refresh()
    const isUnused = store.details().unused.some(({ policy }) => policy === changing.policy)
    if (isUnused) return apply({ ...changing, action: 'reset' })
    const { now, inFile } = find(changing.policy)
    await apply({ ...changing, action: 'reset', from: valuesOf(now.policy), to: valuesOf(inFile.policy) })
  }

  async function apply(change: Change): Promise<void> {
    const { status, revision } = await overrides.change(change)
    if (status === 'conflict') throw errors.policyChanged({ extensions: { revision } })
    await Promise.all([sync.announce(revision), sync.refresh()])
  }

  function find(name: string) {
    const { file, table } = store.details()
    const named = ({ policy }: AppliedPolicy) => policy.name === name
    const [now, inFile] = [allPolicies(table).find(named), allPolicies(file).find(named)]
    if (now === undefined || inFile === undefined) throw errors.policyNotFound()
    return { now, inFile }
  }
}

function inForce({ applied, file }: OverriddenTable, { dimension, policy }: AppliedPolicy): LimitInForce {
  const override = applied.get(policy.name)
  const shown = { ...policy, dimension, revision: override?.revision ?? 'file' }
  const inFile = allPolicies(file).find((one) => one.policy.name === policy.name)
  if (override === undefined || inFile === undefined) return shown
  return { ...shown, override: { by: override.by, at: override.at, file: { ...inFile.policy, dimension } } }
}

function classOf({ table }: OverriddenTable, routeClass: RouteClass): LimitOverview['classes'][number] {
  const byDimension = Map.groupBy(policiesOf(table, routeClass), ({ dimension }) => dimension)
  const limits = [...byDimension].map(([dimension, applied]) => {
    return { dimension, policies: applied.map(({ policy }) => policy.name) }
  })
  const { maxConcurrent, maxConcurrentPerAddress, bodyMaxBytes } = bulkheadOf(table, routeClass)
  return { class: routeClass, limits, bulkhead: { maxConcurrent, maxConcurrentPerAddress, bodyMaxBytes } }
}

/** Undefined for an own quota, which no override changes. */
function valuesOf({ limit, burst, algorithm, onUnavailable }: LimitPolicy): LimitValues | undefined {
  return isPerKey(limit) ? undefined : { limit, burst, algorithm, onUnavailable }
}

function fieldOf({ field, reason }: PolicyProblem): FieldError {
  return { path: `/${field}`, message: reason, code: 'contradiction' }
}
