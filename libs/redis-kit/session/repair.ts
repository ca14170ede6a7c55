/** Keys of sessions that hold another type: replaced, so that no user is locked out for as long as such a key lives. */
import type { Redis } from '../connection/connection.ts'
import { isWrongType } from '../errors.ts'
import { script } from '../script.ts'
import type { SessionKeys } from './session-keys.ts'

const repairScript = script<1>(new URL('./repair.lua', import.meta.url), { effect: 'idempotent' })

/** Settles as `work` does. When a key has another type, replaces it and works once more. */
export async function repairing<Value>(
  { redis, keys }: { redis: Redis; keys: SessionKeys },
  { tag, handles }: { tag: string; handles: readonly string[] },
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!isWrongType(error)) throw error
    const longestMs = 'ms' in keys.epoch.ttl ? keys.epoch.ttl.ms : Number.NaN
    const sessions = handles.map((handle) => keys.session.key(tag, handle))
    await repairScript(redis, [keys.index.key(tag), keys.epoch.key(tag), ...sessions], [longestMs])
    return await work()
  }
}
