/** Doing what the plan says: each fault begins at once and answers how it ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, unlimited } from '@shop/service-kit/storage/database'
import { command } from '@shop/test-kit/redis-wire'
import type { Incident, RedisTarget, ServerTarget } from './plan.ts'
import type { ShopUnderTest } from './shop.ts'

/** Ends the cause. */
export type Heal = () => Promise<unknown>

/** In turns of a stalling disk: most of the time nothing moves. */
const slowTurnMs = { stopped: 120, running: 60 }

/** Resolves when the cause acts. */
export async function begin({ fault, target }: Incident, shop: ShopUnderTest): Promise<Heal> {
  switch (fault) {
    case 'kill':
      shop.kill(target)
      return ended
    case 'freeze':
      return freeze(shop.pidsOf(target))
    case 'slow':
      return stall(shop.pidsOf(target))
    case 'cut':
      shop.proxyOf(target as ServerTarget).blackHole()
      return () => shop.proxyOf(target as ServerTarget).heal()
    case 'reset':
      shop.proxyOf(target as ServerTarget).cut()
      return ended
    case 'read-only':
      return refuseWrites(shop.superuserUrl)
    default:
      return refuseRedisWrites(fault, target as RedisTarget, shop)
  }
}

const ended: Heal = async () => {}

function freeze(pids: readonly number[]): Heal {
  signalAll(pids, 'SIGSTOP')
  return async () => signalAll(pids, 'SIGCONT')
}

function stall(pids: readonly number[]): Heal {
  const over = new AbortController()
  const turning = turn()
  return () => {
    over.abort()
    return turning
  }

  async function turn() {
    while (!over.signal.aborted) {
      signalAll(pids, 'SIGSTOP')
      await sleep(slowTurnMs.stopped)
      signalAll(pids, 'SIGCONT')
      await sleep(slowTurnMs.running)
    }
  }
}

/** A process that has ended meanwhile is no error. */
function signalAll(pids: readonly number[], signal: NodeJS.Signals) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

async function refuseRedisWrites(fault: string, target: RedisTarget, shop: ShopUnderTest): Promise<Heal> {
  const server = shop.redisOf(target)
  const tell = (...args: string[]) => command(server, ...args)
  if (fault === 'readonly') {
    await tell('REPLICAOF', '127.0.0.1', '1') // where no server listens: it keeps its data and waits
    return () => tell('REPLICAOF', 'NO', 'ONE')
  }
  const [name, value] = fault === 'oom' ? (['maxmemory', '1'] as const) : (['min-replicas-to-write', '1'] as const)
  const before = valueIn(await tell('CONFIG', 'GET', name))
  await tell('CONFIG', 'SET', name, value)
  return () => tell('CONFIG', 'SET', name, before)
}

/** The value in the reply to CONFIG GET: the last bulk string before the PONG. */
function valueIn(reply: string): string {
  return reply.split('\r\n').at(-3) ?? ''
}

async function refuseWrites(url: string): Promise<Heal> {
  const set = (change: string) => configure(url, `ALTER SYSTEM ${change}`)
  await set('SET default_transaction_read_only = on')
  return () => set('RESET default_transaction_read_only')
}

async function configure(url: string, statement: string) {
  const client = createClient(url, { name: 'chaos', connectTimeoutMs: 5_000, ...unlimited })
  await client.connect()
  try {
    await client.query('SET default_transaction_read_only = off')
    await client.query(statement)
    await client.query('SELECT pg_reload_conf()')
  } finally {
    await client.end()
  }
}
