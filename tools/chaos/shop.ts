/** The demo as a shop that may be broken: a stack of its own, with a fault proxy between its services and each of its servers. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import type { RedisAddress } from '@shop/test-kit/redis-wire'
import { type Harness, operatorName, withPort } from '../stack/harness.ts'
import type { DatabaseUrls, Part } from '../stack/stage.ts'
import { type Stack, startStack } from '../stack/start.ts'
import type { RedisTarget, ServerTarget, Target } from './plan.ts'

export interface ShopUnderTest {
  url: string
  dataDir: string
  /** As the superuser, past the proxy. */
  superuserUrl: string
  /** Each service's database, past the proxy. */
  databaseUrls: DatabaseUrls
  /** As a user who may do everything, past the proxy. */
  redisOf(target: RedisTarget): RedisAddress
  proxyOf(target: ServerTarget): FaultProxy
  /** The processes of a part as it runs now. */
  pidsOf(target: Target): number[]
  /** SIGKILL. The stack starts the part again. */
  kill(target: Target): void
  /** Parts that ended without being killed, each as often as it did. */
  endedByThemselves(): string[]
  /** Everything that was started is stopped; the data folder is removed unless it is to be kept. */
  stop(options: { keepData: boolean }): Promise<void>
}

const lookEveryMs = 100
const productCount = 200
/** Kills at will are no reason to give a part up. */
const restartLimit = 1_000

export async function startShopUnderTest(report: (line: string) => void): Promise<ShopUnderTest> {
  const dataDir = mkdtempSync(join(tmpdir(), 'redis-shop-chaos-'))
  const proxies = new Map<ServerTarget, FaultProxy>()
  const operatorPassword = randomBytes(15).toString('base64url')
  const stopProxies = () => Promise.all([...proxies.values()].map((proxy) => proxy.stop()))
  try {
    const stack = await startStack(stackOptions(dataDir, createHarness(operatorPassword, proxies)), report)
    const deaths = watchDeaths(stack)
    const postgres = partOf(stack, 'postgres')
    return {
      url: stack.url,
      dataDir,
      superuserUrl: stack.superuserUrl ?? '',
      databaseUrls: pastProxy(stack.databaseUrls, postgres.port),
      redisOf: (target) => ({
        port: partOf(stack, target).port,
        username: operatorName,
        password: operatorPassword,
      }),
      proxyOf: (target) => proxies.get(target) as FaultProxy,
      pidsOf: (target) => withChildren(partOf(stack, target).pid),
      kill: deaths.kill,
      endedByThemselves: deaths.unexpected,
      async stop({ keepData }) {
        deaths.stop()
        await stack.stop()
        await stopProxies()
        if (!keepData) rmSync(dataDir, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await stopProxies()
    throw error
  }
}

function stackOptions(dataDir: string, harness: Harness) {
  const common = { seed: true, fresh: false, watch: false, json: true }
  return { ...common, port: 0, dataDir, productCount, restartLimit, harness }
}

/** The services reach each server by way of a proxy; the chaos itself goes past it. */
function createHarness(operatorPassword: string, proxies: Map<ServerTarget, FaultProxy>): Harness {
  return { operatorPassword, between }

  async function between(server: ServerTarget, port: number): Promise<number> {
    const proxy = await startFaultProxy({ port })
    proxies.set(server, proxy)
    return proxy.port
  }
}

function pastProxy(urls: DatabaseUrls, port: number): DatabaseUrls {
  return Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, withPort(url, port)])) as DatabaseUrls
}

function partOf(stack: Stack, target: Target): Part {
  const part = stack.parts().find(({ name }) => name === target)
  if (!part) throw new Error(`The demo has no part named ${target}.`)
  return part
}

/** A process and its children: Postgres has one process per connection, and some of its own. */
function withChildren(pid: number): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
  return [pid, ...(stdout ?? '').split('\n').filter(Boolean).map(Number)]
}

/** A part whose pid changes has ended. Killed ones are expected to. */
function watchDeaths(stack: Stack) {
  const killed = new Set<number>()
  const seen = new Map<string, number>()
  const unexpected: string[] = []
  const timer = setInterval(look, lookEveryMs)
  look()
  return { kill, unexpected: () => [...unexpected], stop: () => clearInterval(timer) }

  function kill(target: Target) {
    const { pid } = partOf(stack, target)
    killed.add(pid)
    process.kill(pid, 'SIGKILL')
  }

  function look() {
    for (const { name, pid } of stack.parts()) {
      const before = seen.get(name)
      if (before !== undefined && before !== pid && !killed.has(before)) unexpected.push(name)
      seen.set(name, pid)
    }
  }
}
