/**
 * The overrides of policies in the state Redis, for all instances: what administrators changed, who and when, and which version each
 * instance has in force. Two changes of one policy cannot pass each other: each names the revision that it is based on.
 */
import { type LimitOverview, LimitValues } from '@shop/contracts/limits'
import type { Redis } from '@shop/redis-kit/connection'
import { type KeyFamily, keyFamily } from '@shop/redis-kit/keys'
import { channelKeys } from '@shop/redis-kit/pubsub'
import { script } from '@shop/redis-kit/script'
import { createCheck } from '@shop/service-kit/http/validation'

/** How many changes are kept. */
const keptChangeCount = 100
/** An instance reports every few seconds. */
const forgetInstanceMs = 15_000

const changeScript = script<[isDone: 0 | 1, revision: string]>(new URL('./change.lua', import.meta.url))
const reportScript = script<1>(new URL('./report.lua', import.meta.url), { effect: 'idempotent' })
const problemsIn = createCheck(LimitValues)

const common = { service: 'gateway', role: 'state' } as const

/** All on one hash tag: a change is one script. */
export const overrideKeys = {
  overrides: keyFamily({
    ...common,
    pattern: 'gateway:{limits}:overrides',
    type: 'hash',
    ttl: { immortal: 'an override holds until an administrator removes it; one per policy' },
    example: [],
    doc: 'per policy its revision and the values that replace those of the file',
  }),
  changes: keyFamily({
    ...common,
    pattern: 'gateway:{limits}:changes',
    type: 'stream',
    ttl: { immortal: `the audit of the overrides, capped at ${keptChangeCount} entries` },
    example: [],
    doc: 'the last changes of limits: who, which policy, from, to',
  }),
  instances: keyFamily({
    ...common,
    pattern: 'gateway:{limits}:instances',
    type: 'hash',
    ttl: { ms: forgetInstanceMs },
    example: [],
    doc: 'per instance the version of the limits in force, and when it reported it, milliseconds',
  }),
  hints: channelKeys('gateway', 'limit-changes'),
} satisfies Record<string, KeyFamily>

export interface SoundOverride {
  policy: string
  revision: string
  at: string
  values: LimitValues
  by: string
  problem?: undefined
}

export interface DamagedOverride {
  policy: string
  revision: string
  problem: string
}

export type StoredOverride = SoundOverride | DamagedOverride

export interface Change {
  policy: string
  /** The revision that the caller saw. */
  revision: string
  by: string
  /** `reset` removes the override: `to` is then what the file says. */
  action: 'override' | 'reset'
  from?: LimitValues
  to?: LimitValues
}

export type ChangeResult = { status: 'changed'; revision: string } | { status: 'conflict'; revision: string }

export type Overrides = ReturnType<typeof createOverrides>

export function createOverrides(redis: Redis) {
  const [overrides, changes, instances] = [
    overrideKeys.overrides.key(),
    overrideKeys.changes.key(),
    overrideKeys.instances.key(),
  ]
  return { list, change, report, reports, history }

  /** In the order of their names. Damaged entries say so. */
  async function list(): Promise<StoredOverride[]> {
    const stored = await redis.hgetall(overrides).catch(ifForeign({}))
    return Object.entries(stored).map(toOverride).sort(byPolicy)
  }

  async function change({ policy, revision, by, action, from, to }: Change): Promise<ChangeResult> {
    const values = action === 'reset' ? '' : JSON.stringify({ values: to, by })
    const fields = Object.entries({ by, policy, action, from: JSON.stringify(from), to: JSON.stringify(to) })
    const present = fields.flatMap(([name, value]) => (value === undefined ? [] : [name, value]))
    const args = [policy, revision, values, keptChangeCount, ...present]
    const [isDone, inForce] = await changeScript(redis, [overrides, changes], args)
    return { status: isDone === 1 ? 'changed' : 'conflict', revision: inForce }
  }

  async function report(id: string, version: string): Promise<void> {
    await reportScript(redis, [instances], [id, version, forgetInstanceMs])
  }

  async function reports() {
    const found = await redis.hgetall(instances).catch(ifForeign({}))
    return Object.entries(found)
      .flatMap(([id, text]) => {
        const [, ms, version = ''] = /^(\d{1,15}) (\S{1,40})$/.exec(text) ?? []
        return ms === undefined ? [] : [{ id, version, seenAt: new Date(Number(ms)).toISOString() }]
      })
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** Newest first; damaged entries are left out. */
  async function history(): Promise<LimitOverview['changes']> {
    const entries = await redis.xrevrange(changes, '+', '-', 'COUNT', keptChangeCount).catch(ifForeign([]))
    return entries.flatMap(([id, fields]) => toChange(id, fields))
  }
}

/** The id of a change: milliseconds, a number. change.lua has the same bounds. */
const revisionPattern = /^\d{1,15}-\d{1,20}$/

const byPolicy = (a: StoredOverride, b: StoredOverride) => (a.policy < b.policy ? -1 : 1)

function toOverride([policy, text]: [string, string]): StoredOverride {
  const [revision = '', json = ''] = text.split(/ (.*)/s)
  if (!revisionPattern.test(revision)) return { policy, revision: 'file', problem: 'damaged: no revision' }
  const { values, by } = Object(parsed(json)) as { values?: unknown; by?: unknown }
  const sound = valuesIn(values)
  if (sound === undefined || typeof by !== 'string')
    return { policy, revision, problem: 'damaged: not the values of a policy' }
  return { policy, revision, at: timeOf(revision), values: sound, by }
}

function toChange(id: string, pairs: string[]): LimitOverview['changes'] {
  const fields = Object.fromEntries(pairs.flatMap((name, index) => (index % 2 === 0 ? [[name, pairs[index + 1]]] : [])))
  const { by, policy, action } = fields
  if (!revisionPattern.test(id)) return []
  const [from, to] = [valuesIn(parsed(fields.from ?? '')), valuesIn(parsed(fields.to ?? ''))]
  if (by === undefined || policy === undefined || (action !== 'override' && action !== 'reset')) return []
  return [{ id, at: timeOf(id), by, policy, action, ...(from && { from }), ...(to && { to }) }]
}

function valuesIn(value: unknown): LimitValues | undefined {
  return problemsIn(value).length === 0 ? (value as LimitValues) : undefined
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** A stream's id begins with the time of the server, ms. */
function timeOf(id: string): string {
  return new Date(Number(id.split('-', 1)[0])).toISOString()
}

/** A key of another type holds nothing of ours. */
function ifForeign<Value>(nothing: Value) {
  return (error: unknown): Value => {
    if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return nothing
    throw error
  }
}
