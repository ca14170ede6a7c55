/**
 * The other entrance: what a pipeline or a MULTI puts together is written as one, so it has to be refused as a whole, before
 * anything of it is. The mistake is found when a command is added, and thrown when the pipeline is executed.
 */
import type { ChainableCommander, Cluster, Command, Redis as Node } from 'ioredis'
import { isRedisOutage, RedisUnavailable } from '../../errors.ts'

/** Added through a pipeline of ours. */
const vetted = new WeakSet<Command>()

/** All of a batch or nothing: whatever was not added by `redis.pipeline()` or `redis.multi()` has not been looked at. */
export function mistakeInBatch(command: Command): TypeError | undefined {
  if (vetted.has(command)) return undefined
  return new TypeError(`${command.name.toUpperCase()} belongs to a batch that redis.pipeline() did not create`)
}

type MistakeIn = (command: Command) => Error | undefined
type Callback = (error: Error | null, ...results: unknown[]) => void
type Pipeline = Omit<ChainableCommander, 'exec'> & {
  _queue: Command[]
  sendCommand(command: Command): Pipeline
  exec(callback?: unknown): Promise<[Error | null, unknown][] | null> | Pipeline
  addBatch(commands: unknown[][]): void
}

/** From now on `redis.pipeline()` and `redis.multi()` refuse what `mistakeIn` finds. */
export function guardPipelines(redis: Node | Cluster, mistakeIn: MistakeIn): void {
  const pipeline = redis.pipeline.bind(redis) as unknown as () => Pipeline
  const multi = redis.multi.bind(redis) as unknown as (options?: object) => Pipeline

  function guarded(make: () => Pipeline, commands: unknown): Pipeline {
    const made = guard(make(), mistakeIn)
    if (Array.isArray(commands)) made.addBatch(commands)
    return made
  }
  Object.assign(redis, {
    pipeline: (commands?: unknown) => guarded(pipeline, commands),
    multi: (commands?: unknown, options = Array.isArray(commands) ? undefined : commands) => {
      const isSingle = (options as { pipeline?: boolean } | undefined)?.pipeline === false
      return isSingle ? multi(options as object) : guarded(multi, commands) // single: the gate refuses it
    },
  })
}

function guard(pipeline: Pipeline, mistakeIn: MistakeIn): Pipeline {
  const queue = pipeline.sendCommand.bind(pipeline)
  const exec = pipeline.exec.bind(pipeline)
  let mistake: Error | undefined
  let isExecuted = false
  for (const command of pipeline._queue) vetted.add(command) // the MULTI

  pipeline.sendCommand = (command) => {
    queue(command)
    vetted.add(command)
    if (!isPartOfTransaction(command)) mistake ??= mistakeIn(command)
    return pipeline
  }
  /** ioredis itself calls it again when it sends the whole to another node, and ignores what it returns then. */
  pipeline.exec = (given) => {
    // ioredis itself passes a pipeline here.
    const callback = typeof given === 'function' ? (given as Callback) : undefined
    if (mistake) return passOn(Promise.reject(mistake), callback)
    const executed = exec(callback && translating(callback))
    if (isExecuted || executed === pipeline) return executed
    isExecuted = true
    const outcome = (executed as Promise<never>).catch((error) => Promise.reject(translated(error)))
    return passOn(outcome, callback && (() => {})) // ioredis has called it
  }
  return pipeline
}

/** MULTI by the pipeline's own method, which brings its EXEC with it. ASKING before a redirection is ioredis' own. */
function isPartOfTransaction(command: Command & { ignore?: boolean }): boolean {
  const { name, inTransaction, ignore } = command
  if (name === 'asking') return ignore === true
  return name === 'exec' || name === 'discard' || (name === 'multi' && inTransaction)
}

/** Passes a rejection on to the callback, if there is one: its caller may ignore the promise. */
function passOn(outcome: Promise<never>, callback: Callback | undefined): Promise<never> {
  if (callback) outcome.catch(callback)
  return outcome
}

function translating(callback: Callback): Callback {
  return (error, ...results) => callback(error && translated(error), ...results)
}

/** A MULTI is given up with the same words whatever the reason; the reason is in the replies before. */
function translated(error: Error & { previousErrors?: Error[] }): Error {
  const outage = error.name === 'ReplyError' && error.previousErrors?.find(isRedisOutage)
  return outage ? new RedisUnavailable(`EXEC: ${outage.message}`, { cause: outage }) : error
}
