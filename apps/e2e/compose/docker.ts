/** The engine, asked through its own command line: containers of the project under test, and throw-away ones beside them. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'vitest'

const run = promisify(execFile)
const commandTimeoutMs = 60_000
const healthyTimeoutMs = 120_000

export const project = process.env.SHOP_COMPOSE_PROJECT ?? 'redis-shop'

/** The part of `docker inspect` that the tests look at. */
export interface Container {
  Id: string
  Name: string
  Config: { Image: string; User: string; Env: string[]; Labels: Record<string, string> }
  HostConfig: {
    Privileged: boolean
    ReadonlyRootfs: boolean
    CapAdd: string[] | null
    CapDrop: string[] | null
    SecurityOpt: string[] | null
    Memory: number
    PidsLimit: number | null
    NetworkMode: string
    Binds: string[] | null
  }
  Mounts: { Source: string; Destination: string; RW: boolean; Type: string }[]
  NetworkSettings: {
    Ports: Record<string, { HostPort: string }[] | null>
    Networks: Record<string, { IPAddress: string; Gateway: string }>
  }
  State: { Running: boolean; Health?: { Status: string } }
}

/** Standard output. Rejects with what the command wrote to standard error. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { timeout: commandTimeoutMs, maxBuffer: 16 * 1024 * 1024 })
  return stdout.trim()
}

export async function inspect(...ids: string[]): Promise<Container[]> {
  return ids.length === 0 ? [] : JSON.parse(await docker('inspect', ...ids))
}

/** The containers of the project, or of one of its services, in the order of their numbers; the jobs that are over only if asked for. */
export async function containers({ service, all = false }: { service?: string; all?: boolean } = {}) {
  const filters = [
    `label=com.docker.compose.project=${project}`,
    service && `label=com.docker.compose.service=${service}`,
  ]
  const found = await docker(
    'ps',
    '-q',
    ...(all ? ['-a'] : []),
    ...filters.flatMap((one) => (one ? ['--filter', one] : [])),
  )
  const list = await inspect(...found.split('\n').filter(Boolean))
  return list.sort((a, b) => a.Name.localeCompare(b.Name))
}

export function serviceOf(container: Container): string {
  return container.Config.Labels['com.docker.compose.service'] ?? container.Name
}

/** Kills one container of the service, without a goodbye, and starts it again after `work`, however that ends. */
export async function whileDead<Result>(service: string, work: () => Promise<Result>): Promise<Result> {
  const [container] = await containers({ service })
  if (!container) throw new Error(`no container of ${service} runs`)
  await docker('kill', container.Id)
  try {
    return await work()
  } finally {
    await docker('start', container.Id)
    await expect.poll(() => health(container.Id), { timeout: healthyTimeoutMs, interval: 500 }).toBe('healthy')
  }
}

async function health(id: string): Promise<string | undefined> {
  return (await inspect(id))[0]?.State.Health?.Status
}

/** Runs JavaScript in a container of the service, as its own user; the answer is what it prints. */
export async function runIn(service: string, source: string): Promise<string> {
  const [container] = await containers({ service })
  if (!container) throw new Error(`no container of ${service} runs`)
  return docker('exec', container.Id, 'node', '-e', source)
}

/** A container beside the shop, removed by the `stop` that is returned. */
export async function throwAway(...args: string[]): Promise<{ container: Container; stop(): Promise<void> }> {
  const id = await docker('run', '-d', '--rm', ...args)
  const [container] = await inspect(id)
  return { container: container as Container, stop: async () => void (await docker('rm', '-f', '-v', id)) }
}
