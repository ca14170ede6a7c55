/** The generated users on a master, its replica and a Sentinel, with the default user off. */
import { startSentinel } from '@shop/test-kit/redis-sentinel'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { keyFamily } from '../keys.ts'
import { aclFile } from './acl.ts'

const patience = { timeout: 20_000, interval: 50 }
/** Sentinel does nothing for 30 s (TILT) after a pause of its own, which a busy machine may cause. */
const patienceWithSentinel = { timeout: 60_000, interval: 50 }
const passwords = { order: 'order-password', replica: 'replica-password', sentinel: 'sentinel-password' }
const admin = { username: 'admin', password: 'for-this-test-only' }
const counter = keyFamily({
  service: 'order',
  pattern: 'order:counter:<id>',
  type: 'string',
  role: 'state',
  ttl: { immortal: 'a test' },
  example: [1],
  doc: 'a key of this test',
})
const key = counter.key(1)

interface Pair {
  master: RedisServer
  replica: RedisServer
  asAdmin(server: RedisServer): Redis
}

/** The same file on both: either may be the master after a failover. */
async function startPair(users: Record<string, string>): Promise<Pair> {
  const acl = `${aclFile('state', [counter], users)}user ${admin.username} on >${admin.password} allkeys allchannels allcommands\n`
  const login = { masteruser: 'replica', masterauth: passwords.replica }
  const start = async (config: Record<string, string>) => {
    const server = await startRedis({ ...admin, acl, config: { ...login, 'repl-diskless-sync-delay': '0', ...config } })
    onTestFinished(() => server.stop())
    return server
  }
  const master = await start({})
  const replica = await start({ replicaof: `127.0.0.1 ${master.port}` })
  return { master, replica, asAdmin }
}

function asAdmin({ port }: RedisServer): Redis {
  const redis = new Redis({ port, ...admin })
  redis.on('error', () => {})
  onTestFinished(() => redis.disconnect())
  return redis
}

async function connect(url: string) {
  const redis = connectRedis(url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

describe('with the users replica and sentinel', () => {
  test('replication goes on after its connection was cut', async () => {
    const { master, replica } = await startPair(passwords)
    const redis = await connect(`redis://order:${passwords.order}@127.0.0.1:${master.port}`)
    const [onMaster, onReplica] = [asAdmin(master), asAdmin(replica)]
    await redis.set(key, 'before')
    await expect.poll(() => onReplica.get(key), patience).toBe('before')
    expect(await onMaster.call('CLIENT', 'KILL', 'TYPE', 'replica')).toBe(1)
    await redis.set(key, 'after')
    await expect.poll(() => onReplica.get(key), patience).toBe('after')
    expect(await onMaster.acl('LOG')).toEqual([])
  })

  test('Sentinel fails over, and the service goes on with its own user at the new master', {
    timeout: 200_000,
  }, async () => {
    const { master, replica } = await startPair(passwords)
    const lines = ['sentinel auth-user main sentinel', `sentinel auth-pass main ${passwords.sentinel}`]
    const sentinel = await startSentinel({ masterPort: master.port, lines })
    onTestFinished(() => sentinel.stop())
    const watching = new Redis(sentinel.port)
    onTestFinished(() => watching.disconnect())
    const replicas = () => watching.call('SENTINEL', 'REPLICAS', 'main') as Promise<unknown[]>
    await expect.poll(async () => (await replicas()).length, patienceWithSentinel).toBe(1)
    const redis = await connect(`redis+sentinel://order:${passwords.order}@127.0.0.1:${sentinel.port}/main`)
    await redis.set(key, 'before')
    await expect.poll(() => asAdmin(replica).get(key), patienceWithSentinel).toBe('before')

    await master.kill('SIGKILL')
    await expect.poll(() => redis.set(key, 'after').catch(String), patienceWithSentinel).toBe('OK')
    expect(await asAdmin(replica).get(key)).toBe('after')
    // The old master comes back as a replica: Sentinel may tell it, and it may log in.
    await master.restart()
    await expect.poll(() => asAdmin(master).get(key).catch(String), patienceWithSentinel).toBe('after')
    expect(await asAdmin(replica).acl('LOG')).toEqual([])
    expect(await asAdmin(master).acl('LOG')).toEqual([])
  })
})

test('without them a replica is refused, and Sentinel sees a server that does not answer', async () => {
  const { master, replica } = await startPair({ order: passwords.order })
  await expect.poll(() => asAdmin(replica).info('replication'), patience).toContain('master_link_status:down')
  await expect.poll(() => asAdmin(master).acl('LOG'), patience).not.toEqual([])
})

test('neither of them reads a key, and a file without their passwords has no such user', async () => {
  const { master } = await startPair(passwords)
  for (const user of ['replica', 'sentinel']) {
    for (const command of [['GET', key], ['SET', key, '1'], ['KEYS', '*'], ['FLUSHALL'], ['CONFIG', 'GET', '*']]) {
      expect(await asAdmin(master).call('ACL', 'DRYRUN', user, ...command)).toContain('no permissions to run')
    }
  }
  expect(aclFile('state', [counter], { order: passwords.order })).not.toMatch(/user (replica|sentinel)/)
})
