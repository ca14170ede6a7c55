/**
 * A process that keeps Postgres busy in every way a service does. It counts what failed, says so when it is told to stop, and ends by
 * itself only when an error finds no listener.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import { createRandom, integerOf } from '@shop/test-kit/random'
import pg from 'pg'
import { createClient, createPool, createPrismaAdapter } from './database.ts'
import { isDependencyOutage } from './outage.ts'

export interface Tally {
  doneCount: number
  outageCount: number
  /** Messages of the failures that are not recognised as an outage. */
  others: string[]
}

const [url = '', kind = 'ours', seed = '1'] = process.argv.slice(2)
const random = createRandom(Number(seed))
const tally: Tally = { doneCount: 0, outageCount: 0, others: [] }
const options = { name: `busy-${kind}`, connectTimeoutMs: 1_000 }
let isStopping = false

const pool = kind === 'ours' ? createPool(url, { ...options, poolMax: 3 }) : barePool()
const factory = kind === 'ours' ? createPrismaAdapter(url, { ...options, poolMax: 3 }) : new PrismaPg(bareConfig())
const prisma = await factory.connect()

/** Three connections for eight callers: clients go from one caller straight to the next. */
const busy = [
  ...Array.from({ length: 4 }, () => keepDoing(() => pool.query('SELECT 1'))),
  ...Array.from({ length: 4 }, () => keepDoing(transact)),
  ...Array.from({ length: 4 }, () => keepDoing(() => prisma.queryRaw({ sql: 'SELECT 1', args: [], argTypes: [] }))),
  ...Array.from({ length: 4 }, () => keepDoing(transactByPrisma)),
  keepDoing(holdIdle),
]
process.once('message', async () => {
  isStopping = true
  await Promise.all(busy)
  await Promise.all([pool.end(), prisma.dispose()])
  process.send?.({ tally }, () => process.disconnect?.())
})
process.send?.('ready')

async function keepDoing(work: () => Promise<unknown>) {
  while (!isStopping) {
    try {
      await work()
      tally.doneCount += 1
    } catch (error) {
      if (isDependencyOutage(error)) tally.outageCount += 1
      else tally.others.push(String((error as Error).message ?? error))
      await sleep(integerOf(random, 1, 20))
    }
  }
}

async function transact() {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await sleep(integerOf(random, 0, 3))
    await client.query('SELECT 1')
    await client.query('COMMIT')
    client.release()
  } catch (error) {
    client.release(true)
    throw error
  }
}

async function transactByPrisma() {
  const transaction = await prisma.startTransaction()
  try {
    await transaction.executeRaw({ sql: 'SELECT 1', args: [], argTypes: [] })
    await sleep(integerOf(random, 0, 3))
    await transaction.executeRaw({ sql: 'COMMIT', args: [], argTypes: [] })
    await transaction.commit()
  } catch (error) {
    await transaction.rollback()
    throw error
  }
}

/** A connection outside of any pool, as the tools have. */
async function holdIdle() {
  const client = kind === 'ours' ? createClient(url, options) : new pg.Client(bareConfig())
  try {
    await client.connect()
    await client.query('LISTEN nothing')
    await sleep(integerOf(random, 5, 50))
  } finally {
    await client.end()
  }
}

function bareConfig() {
  return { connectionString: url, application_name: options.name, max: 3, connectionTimeoutMillis: 1_000 }
}

function barePool() {
  return new pg.Pool(bareConfig()).on('error', () => {})
}
