/** The same ACL files on a Cluster, where a client asks the nodes more than a single server: that is granted, so that a log of refusals stays empty. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { aclFile } from '@shop/redis-kit/acl'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '@shop/redis-kit/connection'
import type { KeyFamily, KeyRole } from '@shop/redis-kit/keys'
import { script } from '@shop/redis-kit/script'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { type RedisCluster, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { type Cluster, Command, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { generateSecrets, withReplication } from './secrets.ts'

const families = await readKeyFamilies()
const passwords = withReplication(generateSecrets()).redis
const admin = { username: 'admin', password: 'for-this-test-only' }
const adminLine = `user ${admin.username} on >${admin.password} allkeys allchannels allcommands`
const dir = mkdtempSync(join(tmpdir(), 'shop-acl-cluster-'))
const aclfile = join(dir, 'users.acl')
/** Nodes talk to each other as themselves; only a replica logs in at its master. */
const config = { aclfile, masteruser: 'replica', masterauth: passwords.replica as string }

let cluster: RedisCluster
let nodes: Redis[]

beforeAll(async () => {
  writeFileSync(aclfile, `user default on nopass allkeys allchannels allcommands\n${adminLine}\n`)
  cluster = await startCluster({ config })
  nodes = cluster.nodes.map(({ port }) => asAdmin(port))
})
afterAll(async () => {
  for (const node of nodes) node.disconnect()
  await cluster.stop()
  rmSync(dir, { recursive: true, force: true })
})

function asAdmin(port: number): Redis {
  return new Redis({ port, ...admin })
}

async function load(acl: string): Promise<void> {
  writeFileSync(aclfile, `${acl.trim()}\n${adminLine}\n`)
  await Promise.all(nodes.map((node) => node.call('ACL', 'LOAD')))
  await Promise.all(nodes.map((node) => node.call('ACL', 'LOG', 'RESET')))
}

/** Who was refused what, by any node. */
async function refusals(): Promise<string[]> {
  const logs = (await Promise.all(nodes.map((node) => node.call('ACL', 'LOG')))) as unknown[][][]
  return logs.flat().map((entry) => {
    const field = (name: string) => entry[entry.indexOf(name) + 1]
    return `${field('username')} ${field('reason')} ${field('object')}`
  })
}

const users = (['cache', 'state'] as const).flatMap((role) =>
  [...aclFile(role, families, passwords).matchAll(/^user (\S+)/gm)]
    .map(([, name]) => [role, name as string] as const)
    .filter(([, name]) => !['default', 'health', 'audit', 'loader', 'viewer', 'replica', 'sentinel'].includes(name)),
)

function urlAs(user: string): string {
  return cluster.url.replace('://', `://${user}:${passwords[user]}@`)
}

async function connect(user: string, withinMs = 10_000) {
  const redis = connectRedis(urlAs(user), { name: user, commandTimeoutMs: 2_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, withinMs)
  return redis
}

function mayWrite(user: string, role: KeyRole): KeyFamily[] {
  return families.filter(
    (family) => family.role === role && (family.service === user || family.sharedWith?.[user] === 'write'),
  )
}

const exists = (() => {
  const file = join(dir, 'exists.lua')
  writeFileSync(file, "return redis.call('EXISTS', KEYS[1])")
  return script<number>(pathToFileURL(file), { effect: 'idempotent' })
})()

describe.each(users)('on a Cluster, as the user of the %s server, %s', (role, user) => {
  it('reads its keys, runs scripts, speaks and listens, and is refused nothing', async () => {
    await load(aclFile(role, families, passwords))
    const redis = await connect(user)
    const mine = mayWrite(user, role)
    for (const { exampleKey } of mine.filter(({ type }) => type !== 'channel')) {
      expect(await redis.exists(exampleKey)).toBe(0)
      expect(await exists(redis, [exampleKey])).toBe(0)
    }
    const subscriber = connectSubscriber(urlAs(user), { name: user, commandTimeoutMs: 10_000 })
    onTestFinished(() => subscriber.close())
    for (const { exampleKey } of mine.filter(({ type }) => type === 'channel')) {
      const heard: string[] = []
      await subscriber.subscribe(exampleKey, (message) => heard.push(message))
      await subscriber.sharded?.subscribe(exampleKey, (message) => heard.push(message))
      await redis.publish(exampleKey, 'to all nodes')
      await redis.spublish(exampleKey, 'to one shard')
      await expect.poll(() => heard.toSorted(), { timeout: 10_000 }).toEqual(['to all nodes', 'to one shard'])
    }
    expect(await refusals()).toEqual([])
  })
})

describe('what a client asks of a Cluster', () => {
  const acl = aclFile('state', families, passwords)
  const without = (command: string) => acl.replaceAll(` +${command}`, '')

  it.each(['cluster|slots', 'cluster|info'])(
    'may be forbidden: without %s the client works, and the refusal is in the log',
    async (command) => {
      expect(without(command)).not.toBe(acl)
      await load(without(command))
      const redis = await connect('order')
      const [family] = mayWrite('order', 'state').filter(({ type }) => type === 'hash') as [KeyFamily]
      expect(await redis.exists(family.exampleKey)).toBe(0)
      expect(await refusals()).toContain(`order command ${command}`)
    },
  )

  it('follows a key to where its slot is moving to, which it cannot without ASKING', async () => {
    const { exampleKey: key } = mayWrite('order', 'state').find(({ type }) => type === 'hash') as KeyFamily
    await startMoving(key)
    await load(acl)
    const redis = await connect('order')
    expect(await redis.hset(key, 'field', '1')).toBe(1)
    expect((await refusals()).join()).not.toContain('asking')
    await load(without('asking'))
    await expect((await connect('order')).hget(key, 'field')).rejects.toThrow()
    expect(await refusals()).toContain('order command asking')
  })

  it('is READONLY at a replica, and written down there when that is refused', async () => {
    const replica = await addReplica()
    nodes.push(replica)
    onTestFinished(() => void nodes.pop())
    const isReadonlyRefused = async (text: string) => {
      await load(text)
      await replica.config('RESETSTAT')
      const redis = (await connect('order')) as Cluster
      await expect
        .poll(
          async () => {
            redis.refreshSlotsCache() // asks any node
            return replica.info('commandstats')
          },
          { timeout: 20_000 },
        )
        .toContain('cmdstat_readonly')
      return (await refusals()).includes('order command readonly')
    }
    expect(await isReadonlyRefused(acl)).toBe(false)
    expect(await isReadonlyRefused(without('readonly'))).toBe(true)
  })
})

/** The key's slot is on its way from the node that has it to another: what is not here any more is there. */
async function startMoving(key: string): Promise<void> {
  const slot = new Command('get', [key]).getSlot() as number
  const source = nodes[Math.floor((slot * nodes.length) / 16_384)] as Redis
  const destination = nodes.find((node) => node !== source) as Redis
  const [from, to] = await Promise.all([source, destination].map((node) => node.cluster('MYID')))
  await destination.cluster('SETSLOT', slot, 'IMPORTING', from as string)
  await source.cluster('SETSLOT', slot, 'MIGRATING', to as string)
  onTestFinished(async () => {
    await destination.call('ASKING')
    await destination.del(key)
    for (const node of [source, destination]) await node.cluster('SETSLOT', slot, 'STABLE')
  })
}

/** Resolves once the others know it as one. */
async function addReplica(): Promise<Redis> {
  const server = await startRedis({
    ...admin,
    config: { ...config, 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' },
  })
  onTestFinished(() => server.stop())
  const [replica, [master]] = [asAdmin(server.port), nodes as [Redis]]
  onTestFinished(() => replica.disconnect())
  const masterId = (await master.cluster('MYID')) as string
  for (const { port } of cluster.nodes) await replica.cluster('MEET', '127.0.0.1', port)
  const patience = { timeout: 20_000 }
  await expect.poll(() => replica.cluster('REPLICATE', masterId).catch(String), patience).toBe('OK')
  for (const node of nodes) await expect.poll(() => node.cluster('NODES'), patience).toContain(`slave ${masterId}`)
  await expect.poll(() => replica.info('replication'), patience).toContain('master_link_status:up')
  return replica
}
