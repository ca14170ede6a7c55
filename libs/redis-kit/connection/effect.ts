/**
 * What happens when a command is executed twice? Everything about resending hangs on this.
 *
 *     read         nothing: it may be sent again when its answer is lost
 *     idempotent   the same as once (the author of a script says so): likewise, but the final failure stays unknown
 *     once         another effect (INCR, XADD, most scripts): it is never sent twice
 */
import { exists, hasFlag } from '@ioredis/commands'
import type { Command } from 'ioredis'

export type Effect = 'read' | 'idempotent' | 'once'

/** Change nothing, though the server does not count them as reading: they touch no key. */
const HARMLESS = new Set(['ping', 'echo', 'time', 'info'])

const effects = new Map<string, Effect>()
const declared = new WeakMap<Command, Effect>()

/** Says of one command what its name cannot: EVALSHA is what its script is. */
export function declareEffect(command: Command, effect: Effect): void {
  if (effect !== 'once') declared.set(command, effect)
}

/**
 * Writes are `once` unless declared otherwise, SET and DEL too: a SET that arrives late, after a newer SET by another
 * connection, is not harmless.
 */
export function effectOf(command: Command): Effect {
  const name = command.name.toLowerCase()
  if (name === 'evalsha' || name === 'eval') return declared.get(command) ?? 'once'
  let effect = effects.get(name)
  if (effect === undefined) {
    effect = HARMLESS.has(name) || (exists(name) && hasFlag(name, 'readonly')) ? 'read' : 'once'
    effects.set(name, effect)
  }
  return effect
}
