/**
 * Writing the source and the cache in one go, without the race that a plain "commit, then SET" has (two writers commit in
 * one order and set in the other, and the older value stays). The writer takes the lease before it writes, which voids
 * every load in flight, and stores only if no other writer has come in between; else both values are forgotten.
 */
import type { Core } from './reader.ts'
import type { Records } from './records.ts'

export type PutOutcome =
  /** The next read is a hit with this value. */
  | 'stored'
  /** Another writer was there too; the next read loads. */
  | 'forgotten'
  /** Redis could not be told: an older value may be served until it expires, unless somebody invalidates it again. */
  | 'unreachable'

export interface PutResult<Value> {
  value: Value | undefined
  outcome: PutOutcome
}

export interface PutRequest<Value> {
  id: string
  tags: readonly string[]
  /** Writes and commits; answers what a load would answer from now on, undefined when there is no such thing any more. */
  write(): Promise<Value | undefined>
}

/** Throws what `write` throws; the value is invalidated then, because it may have been committed nevertheless. */
export async function writeThrough<Value>(
  core: Core,
  records: Records<Value>,
  request: PutRequest<Value>,
): Promise<PutResult<Value>> {
  const { coherence, onEvent } = core
  const { id } = request
  core.keys.value.key(id) // throws for what cannot be an id, before anything is written
  core.tags.check(request.tags)
  const begun = await begin(core, request).catch((error) => onEvent?.('redis-error', { error }))
  let value: Value | undefined
  try {
    value = await request.write()
  } catch (error) {
    await invalidateEverywhere(core, id).catch((cause) => onEvent?.('redis-error', { error: cause }))
    throw error
  }
  coherence.drop(id)
  const outcome = await settle(core, records, { id, value, begun: begun || undefined }).catch((error): PutOutcome => {
    onEvent?.('redis-error', { error })
    return 'unreachable'
  })
  coherence.drop(id)
  return { value, outcome }
}

/** In Redis, and in the memory of every process. Throws when Redis cannot be told. */
export async function invalidateEverywhere({ coherence, leases }: Core, id: string): Promise<void> {
  // Before and after: nobody here may join or keep what was read before, nor what was read before it took effect.
  coherence.drop(id)
  try {
    await leases.invalidate(id)
  } finally {
    coherence.drop(id)
  }
}

/** The same for every value that carries the tag. */
export async function invalidateTagEverywhere({ coherence, tags }: Core, tag: string): Promise<void> {
  coherence.dropTag(tag)
  try {
    await tags.invalidate(tag)
  } finally {
    coherence.dropTag(tag)
  }
}

type Begun = Awaited<ReturnType<typeof begin>>

async function begin<Value>({ guard, leases, tags }: Core, { id, tags: names }: PutRequest<Value>) {
  const stamps = names.length > 0 ? await guard(() => tags.stamp(names)) : []
  return { lease: await guard(() => leases.claim(id)), stamps }
}

interface Written<Value> {
  id: string
  value: Value | undefined
  begun?: Begun
}

/** Not through the breaker: a write must be announced even when Redis has been failing. */
async function settle<Value>(core: Core, records: Records<Value>, { id, value, begun }: Written<Value>) {
  const composed = begun && tryCompose(core, records, begun, value)
  if (!composed) {
    await core.leases.invalidate(id)
    return 'forgotten'
  }
  const { bytes, keepMs } = composed
  return (await core.leases.settle(begun.lease, bytes, keepMs)) ? 'stored' : 'forgotten'
}

/** The write is done and must not fail any more: a value too large is forgotten instead of stored. */
function tryCompose<Value>({ onEvent }: Core, records: Records<Value>, { lease, stamps }: Begun, value?: Value) {
  try {
    return records.compose({ lease, value, loadCostMs: 0, stamps })
  } catch (error) {
    return void onEvent?.('refused', { error })
  }
}
