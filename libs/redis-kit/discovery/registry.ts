/** The registry: three scripts over the three keys of a service. Who is alive is decided by the server's clock. */
import type { Redis } from '../connection/connection.ts'
import { isWrongType } from '../errors.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers } from '../number-options.ts'
import { script } from '../script.ts'
import { decodeRecord, encodeRecord, type Instance } from './instance.ts'

export interface RegistryOptions {
  keys: DiscoveryKeys
  /** An instance is gone when its last beat is this old. At least three beats. @default 6000 */
  ttlMs?: number
}

export interface Registry {
  readonly ttlMs: number
  /** Where the changes of a service are told; see hint.ts for the messages. */
  channel(service: string): string
  /**
   * Says that the instance is alive, until ttlMs from now.
   * @param incarnation 0 the first time, then what `beat` answered: it is the server's, and a later one outranks an earlier one
   */
  beat(service: string, record: Instance, incarnation: number): Promise<Beat>
  /** Removes the instance at once, unless a later incarnation holds the id. Says whether it was there. */
  leave(service: string, id: string, incarnation: number): Promise<boolean>
  /** At most 5000 living instances. */
  list(service: string): Promise<Listing>
  /** Likewise, or undefined if nothing has changed since `rev`: cheap enough to ask often. */
  listSince(service: string, rev: number): Promise<Listing | undefined>
}

export type Beat = { status: 'accepted'; incarnation: number; rev: number } | { status: 'superseded' }

export interface Listing {
  /** 0: the registry knows nothing of this service, be it that nobody ever registered or that it lost its data. */
  rev: number
  nowMs: number
  /** The living. */
  instances: Instance[]
  /** Those whose last beat has run out, as far as no later beat of another has removed them. At most 100, newest first. */
  overdue: Instance[]
}

export interface DiscoveryKeys {
  expiry: KeyFamily
  records: KeyFamily
  rev: KeyFamily
  changes: KeyFamily
}

const MAX_TTL_MS = 60_000
const MAX_INSTANCE_COUNT = 5_000
const MAX_OVERDUE_COUNT = 100
/** A caller that starts while beats are refused finds the instances in records that are as old as that. */
const KEEP_MS = 3_600_000
const LIMITS = [MAX_INSTANCE_COUNT, MAX_OVERDUE_COUNT]

/** Everybody who registers or looks up runs the scripts, and a script needs its keys read and write: see `sharedWith`. */
export function discoveryKeys(service = 'registry', sharedWith: KeyFamily['sharedWith'] = {}): DiscoveryKeys {
  const common = { service, role: 'state', ttl: { ms: KEEP_MS }, example: ['catalog'], sharedWith } as const
  const name = `${service}:service:{<service>}`
  return {
    expiry: keyFamily({
      ...common,
      pattern: `${name}:expiry`,
      type: 'zset',
      doc: 'the deadline of each instance, by its id: the end of its last beat, ms',
    }),
    records: keyFamily({
      ...common,
      pattern: `${name}:records`,
      type: 'hash',
      doc: 'the address of each instance, by its id',
    }),
    rev: keyFamily({ ...common, pattern: `${name}:rev`, type: 'string', doc: 'the number of the last change' }),
    changes: keyFamily({
      ...common,
      pattern: `${name}:changes`,
      type: 'channel',
      ttl: { immortal: 'a channel stores nothing' },
      doc: 'changes as they happen: up, left, gone',
    }),
  }
}

const beatScript = script<[accepted: 0 | 1, incarnation: number, rev: number]>(new URL('./beat.lua', import.meta.url))
const repairScript = script<1>(new URL('./repair.lua', import.meta.url), { effect: 'idempotent' })
const leaveScript = script<0 | 1>(new URL('./leave.lua', import.meta.url), { effect: 'idempotent' })
type ListReply = [rev: number, nowMs: number, changed: 0 | 1, livingCount: number, ...values: string[]]
const listScript = script<ListReply>(new URL('./list.lua', import.meta.url), { effect: 'read' })

export function createRegistry(redis: Redis, { keys, ttlMs = 6_000 }: RegistryOptions): Registry {
  checkNumbers('registry', { ttlMs }, { ttlMs: { min: 1, max: MAX_TTL_MS, isWhole: true } })
  return { ttlMs, channel, beat, leave, list, listSince }

  function channel(service: string) {
    return keys.changes.key(service)
  }

  async function beat(service: string, record: Instance, incarnation: number): Promise<Beat> {
    const args = [record.id, incarnation, encodeRecord(record), ttlMs, channel(service), KEEP_MS]
    const [accepted, stored, rev] = await repairing(service, () => beatScript(redis, keysOf(service), args))
    return accepted ? { status: 'accepted', incarnation: stored, rev } : { status: 'superseded' }
  }

  async function leave(service: string, id: string, incarnation: number) {
    const args = [id, incarnation, KEEP_MS, channel(service)]
    return (await repairing(service, () => leaveScript(redis, keysOf(service), args))) === 1
  }

  async function list(service: string): Promise<Listing> {
    return toListing(await listScript(redis, keysOf(service), [-1, ...LIMITS]))
  }

  async function listSince(service: string, knownRev: number) {
    const reply = await listScript(redis, keysOf(service), [knownRev, ...LIMITS])
    return reply[2] ? toListing(reply) : undefined
  }

  /** Keys of another type are removed, and the work is done once more. Only by those who write: a look changes nothing. */
  async function repairing<Value>(service: string, work: () => Promise<Value>): Promise<Value> {
    try {
      return await work()
    } catch (error) {
      if (!isWrongType(error)) throw error
      await repairScript(redis, keysOf(service))
      return await work()
    }
  }

  function keysOf(service: string) {
    return [keys.expiry.key(service), keys.records.key(service), keys.rev.key(service)]
  }
}

function toListing([rev, nowMs, , livingCount, ...values]: ListReply): Listing {
  return { rev, nowMs, instances: decode(values.slice(0, livingCount)), overdue: decode(values.slice(livingCount)) }
}

function decode(values: string[]): Instance[] {
  const records = values.map((value) => value.slice(value.indexOf(' ') + 1))
  return records.map(decodeRecord).filter((instance) => instance !== undefined)
}
