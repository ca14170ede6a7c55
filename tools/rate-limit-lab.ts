/** `npm run rate-limit-lab`: the same bursts at every rate limiter, drawn in the terminal and as pictures. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { type Burst, labKeys, type Progress, runBursts } from '@shop/redis-kit/rate-limit/lab'
import { startRedis } from '@shop/test-kit/redis-server'
import { help, type LabOptions, parseOptions } from './rate-limit-lab/options.ts'
import { draw } from './rate-limit-lab/picture.ts'
import { plot, plotOptionsOf } from './rate-limit-lab/plot.ts'
import { interruption } from './stack/interruption.ts'

/** A busy machine answers late; the lab measures when. */
const commandTimeoutMs = 5_000
const connectTimeoutMs = 5_000
const progressMs = 1_000

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: LabOptions | 'help'
  try {
    options = parseOptions(args)
  } catch (error) {
    return fail(error, 2)
  }
  if (options === 'help') {
    process.stdout.write(help)
    return 0
  }
  const signal = interruption()
  try {
    const bursts = await runAll(options, signal)
    return bursts.every(({ hasComeOut }) => hasComeOut) ? 0 : 1
  } catch (error) {
    if (!signal.aborted) return fail(error, 1)
    process.stderr.write('Interrupted.\n')
    return 130
  }
}

async function runAll(options: LabOptions, signal: AbortSignal): Promise<Burst[]> {
  makeFolders(options)
  const server = options.redisUrl === undefined ? await startRedis({ signal }) : undefined
  const redis = connectRedis(options.redisUrl ?? server?.url ?? '', { name: 'rate-limit-lab', commandTimeoutMs })
  try {
    await connected(redis)
    const bursts: Burst[] = []
    for (const experiment of options.experiments) {
      const onProgress = progressLines(experiment)
      const burst = await runBursts(redis, { experiment, keys: labKeys('lab'), signal, onProgress })
      process.stdout.write(`\n${plot(burst, plotOptionsOf(process.stdout, process.env))}\n`)
      bursts.push(burst)
    }
    writeResults(options, bursts)
    return bursts
  } finally {
    await closeRedis(redis)
    await server?.stop()
  }
}

/** The error names the address and the reason, and not the URL: that may hold a password. */
async function connected(redis: Redis): Promise<void> {
  try {
    await whenReady(redis, connectTimeoutMs)
  } catch (error) {
    const { message, cause } = error as Error
    const reason = cause instanceof Error ? cause.message : message
    throw new Error(`Redis cannot be reached: ${reason}. Check --redis, or leave it out.`, { cause: error })
  }
}

/** One line at the start of each attempt, then one per second. */
function progressLines(experiment: string) {
  let lastMs = performance.now()
  process.stderr.write(`${experiment}: waiting for an edge of the window\n`)
  return ({ attempt, sentCount, requestCount }: Progress) => {
    if (performance.now() - lastMs < progressMs) return
    lastMs = performance.now()
    const again = attempt > 1 ? `, attempt ${attempt}: the machine was late` : ''
    process.stderr.write(`${experiment}: ${sentCount} of ${requestCount} requests${again}\n`)
  }
}

/** Before the run: a folder that cannot be written to is better known now. */
function makeFolders({ jsonFile, svgFolder }: LabOptions): void {
  if (jsonFile !== undefined) mkdirSync(dirname(jsonFile), { recursive: true })
  if (svgFolder !== undefined) mkdirSync(svgFolder, { recursive: true })
}

function writeResults({ jsonFile, svgFolder }: LabOptions, bursts: readonly Burst[]): void {
  if (jsonFile !== undefined) writeFileSync(jsonFile, toJson(bursts))
  if (svgFolder === undefined) return
  for (const burst of bursts) writeFileSync(join(svgFolder, `${burst.experiment}.svg`), draw(burst))
}

/** A list of numbers on one line. */
function toJson(bursts: readonly Burst[]): string {
  const lists = /\[\s+([-+\d.,e\s]+?)\s+\]/g
  const text = JSON.stringify(bursts, null, 2).replace(lists, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)
  return `${text}\n`
}

function fail(error: unknown, exitCode: number): number {
  process.stderr.write(`${error instanceof Error ? error.message : error}\nSee npm run rate-limit-lab -- --help\n`)
  return exitCode
}
