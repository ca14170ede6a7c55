/**
 * vitest's `globalSetup`: one Redis, one Cluster and one Postgres for all test files of a run, each started when the
 * first file asks for it. Files run in processes of their own; they ask over HTTP (test-servers.ts), because a server
 * that a worker starts would be one per file.
 *
 * REDIS_URL, REDIS_CLUSTER_URL and DATABASE_URL (of a role that may create databases) name servers to use instead.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres/postgres-server.ts'
import { createTemplate } from './postgres/postgres-template.ts'
import { startCluster, startRedis } from './redis/redis-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where test files ask for servers. */
    testServersUrl: string
  }
}

/** Long enough for a machine that is busy with the tests themselves; the default of a cluster is for testing outages. */
const CLUSTER_NODE_TIMEOUT_MS = 15_000

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = createServers()
  const broker = createServer(async (request, response) => {
    const [kind = '', name = ''] = (request.url ?? '').slice(1).split('/')
    await servers.provide(kind, name).then(
      (answer) => response.end(answer),
      (error: Error) => response.writeHead(500).end(error.message),
    )
  })
  await new Promise<void>((resolve) => broker.listen(0, '127.0.0.1', resolve))
  project.provide('testServersUrl', `http://127.0.0.1:${(broker.address() as AddressInfo).port}`)
  return async () => {
    broker.close()
    broker.closeAllConnections()
    await servers.stop()
  }
}

function createServers() {
  const undo: (() => Promise<void>)[] = []
  const { REDIS_URL, REDIS_CLUSTER_URL, DATABASE_URL } = process.env
  const redis = once(async () => REDIS_URL ?? (await started(startRedis())))
  const cluster = once(
    async () => REDIS_CLUSTER_URL ?? (await started(startCluster({ nodeTimeoutMs: CLUSTER_NODE_TIMEOUT_MS }))),
  )
  const postgres = once(async () => DATABASE_URL ?? (await started(startPostgres())))
  const templates = new Map<string, Promise<string>>()

  async function started(starting: Promise<{ url: string; stop(): Promise<void> }>): Promise<string> {
    const { url, stop } = await starting
    undo.push(stop)
    return url
  }
  async function newTemplate(service: string): Promise<string> {
    const { name, drop } = await createTemplate(await postgres(), service)
    undo.push(drop)
    return name
  }
  /** Remembers failures too: every file is told at once what is wrong, instead of trying again. */
  async function provide(kind: string, name: string): Promise<string> {
    if (kind === 'redis') return redis()
    if (kind === 'cluster') return cluster()
    if (kind === 'postgres') return postgres()
    if (kind !== 'template') throw new Error(`no such test server: ${kind}`)
    const template = templates.get(name) ?? newTemplate(name)
    templates.set(name, template)
    return template
  }
  async function stop() {
    for (const step of undo.splice(0).reverse()) await step()
  }
  return { provide, stop }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= work()
    return result
  }
}
