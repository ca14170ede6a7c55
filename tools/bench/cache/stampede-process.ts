/** One of the processes of a stampede: reads a key many times at once, as its parent says. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectPlain } from '../harness/plain-redis.ts'
import { makeProduct, type Product } from '../harness/products.ts'
import { type Library, libraries } from './libraries.ts'
import { openOurs } from './ours.ts'
import type { Load, Reader } from './reading.ts'

export interface StampedeTask {
  key: string
  readCount: number
  loadMs: number
}

export interface StampedeAnswer {
  loadCount: number
  errorCount: number
  /** By the wall clock, which the processes of one machine share. */
  startedAtMs: number
  endedAtMs: number
}

const [contender = '', redisUrl = ''] = process.argv.slice(2)
let loadMs = 0
let loadCount = 0
const load: Load = async () => {
  loadCount += 1
  await sleep(loadMs)
  return makeProduct('TEA-10007')
}
const reader = await open(contender, redisUrl)
process.once('disconnect', () => process.exit())
process.on('message', async (task: StampedeTask) => process.send?.(await stampede(reader, task)))
process.send?.({ ready: true })

async function stampede(reader: Reader, task: StampedeTask): Promise<StampedeAnswer> {
  loadMs = task.loadMs
  loadCount = 0
  const startedAtMs = now()
  const reads = await Promise.allSettled(Array.from({ length: task.readCount }, () => reader.read(task.key)))
  const endedAtMs = now()
  return { loadCount, errorCount: reads.filter(({ status }) => status === 'rejected').length, startedAtMs, endedAtMs }
}

function open(name: string, url: string): Promise<Reader> {
  if (name === 'ours') return openOurs(url, load)
  if (name === 'naive') return openNaive(url)
  return libraries[name as Library](url, load)
}

/** What is written by hand everywhere. */
async function openNaive(url: string): Promise<Reader> {
  const redis = connectPlain(url)
  return {
    async read(key) {
      const found = await redis.get(key)
      if (found) return JSON.parse(found) as Product
      const value = await load(key)
      await redis.set(key, JSON.stringify(value), 'PX', 60_000)
      return value
    },
    close: () => redis.quit(),
  }
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
