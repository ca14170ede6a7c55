/** Stands between a reader and its connection: the scripts of a stream wait, or lose their answers, when a test says so. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { Command } from 'ioredis'
import type { Redis } from '../connection/connection.ts'
import { OutcomeUnknown, RedisUnavailable } from '../errors.ts'

/** `lost`: executed, and its caller is not told. `unsent`: not executed. A promise: sent once it resolves. An error: the answer. */
export type Verdict = 'lost' | 'unsent' | Promise<unknown> | Error | undefined

/** By hash and by source: `next-any`, `count`. */
const names = new Map<string, string>()
for (const file of readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.lua'))) {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8')
  const name = file.slice(0, -'.lua'.length)
  names.set(source, name).set(createHash('sha1').update(source).digest('hex'), name)
}

export const fetches = ['next-any', 'next-in-order', 'take-over']

/** From now on each script on this connection is judged before it is sent. */
export function meddle(redis: Redis, judge: (name: string, args: readonly string[]) => Verdict): void {
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = ((command: Command, ...rest: []) => {
    const name = names.get(String(command.args[0]))
    const verdict = name === undefined ? undefined : judge(name, command.args.map(String))
    const { reject } = command
    if (verdict === 'unsent') {
      reject(new RedisUnavailable('kept back by the test'))
      return command.promise
    }
    if (verdict instanceof Error) command.resolve = () => reject(verdict)
    if (verdict === 'lost') command.resolve = () => reject(new OutcomeUnknown('lost by the test'))
    if (!(verdict instanceof Promise)) return send(command, ...rest)
    verdict.then(() => send(command, ...rest))
    return command.promise
  }) as Redis['sendCommand']
}
