/** Limiters as people write them by hand: the least that limits, and the token bucket of the usual example. */
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { connectCorked, connectPlain } from '../harness/plain-redis.ts'
import type { Limiter, Limiting, Opening } from './limiter.ts'

/** A fixed window that begins with its first unit. Its key is immortal when the script ends between the two commands. */
const countUp = `local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`

const textbookBucket = readFileSync(new URL('./textbook.lua', import.meta.url), 'utf8')

/** `evaluate` is what ioredis makes of a script: EVALSHA, and EVAL when the server does not know it. */
async function limiterOf(redis: Redis, lua: string, isAdmitted: (evaluate: Evaluate, id: string) => Promise<boolean>) {
  const name = 'evaluateOwn'
  redis.defineCommand(name, { numberOfKeys: 1, lua })
  const evaluate = (redis as Redis & Record<typeof name, Evaluate>)[name].bind(redis)
  const limiter: Limiter = { take: (id) => isAdmitted(evaluate, id), close: () => redis.quit() }
  return limiter
}

type Evaluate = (key: string, ...args: number[]) => Promise<number>

function openCounter(redis: Redis, { limit, space }: Opening): Promise<Limiter> {
  const { count, periodMs } = limit
  return limiterOf(redis, countUp, async (evaluate, id) => (await evaluate(`${space}:${id}`, periodMs)) <= count)
}

/** The time is this process's, and it is a whole interval that gives back: see textbook.lua. */
function openTextbook({ redisUrl, limit, space }: Opening): Promise<Limiter> {
  const { count, periodMs } = limit
  const intervalMs = periodMs / count
  return limiterOf(connectPlain(redisUrl), textbookBucket, async (evaluate, id) => {
    return (await evaluate(`${space}:${id}`, count, intervalMs, Date.now())) === 1
  })
}

export const rawCorked: Limiting = {
  id: 'raw-corked',
  label: 'Lua INCR + PEXPIRE, ioredis corked',
  role: 'limit',
  open: (opening) => openCounter(connectCorked(opening.redisUrl), opening),
}

export const raw: Limiting = {
  id: 'raw',
  label: 'Lua INCR + PEXPIRE, ioredis',
  role: 'control',
  open: (opening) => openCounter(connectPlain(opening.redisUrl), opening),
}

export const textbook: Limiting = {
  id: 'textbook',
  label: 'textbook token bucket, ioredis',
  role: 'control',
  open: openTextbook,
}
