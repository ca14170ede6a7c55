/** A registry that answers and refuses heartbeats: their records run out, and listings succeed with no instance in them. */
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, type Redis, whenReady } from '../connection/connection.ts'
import { createDirectory, createRegistration, createRegistry, discoveryKeys, type Instance } from './discovery.ts'

const TTL_MS = 900
const quickly = { interval: 10, timeout: 15_000 }

interface Server {
  admin: Redis
  /** Where it keeps its files. */
  dir: string
}

/** How writing is made impossible, and possible again. The default user keeps all rights; instances are the user `catalog`. */
const causes: Record<
  string,
  { refuse: (server: Server) => Promise<unknown>; heal: (server: Server) => Promise<unknown> }
> = {
  'no memory (OOM)': {
    refuse: ({ admin }) => admin.config('SET', 'maxmemory', '1'),
    heal: ({ admin }) => admin.config('SET', 'maxmemory', '0'),
  },
  'a replica of no primary (READONLY)': {
    refuse: ({ admin }) => admin.replicaof('127.0.0.1', 1),
    heal: ({ admin }) => admin.replicaof('NO', 'ONE'),
  },
  'too few replicas (NOREPLICAS)': {
    refuse: ({ admin }) => admin.config('SET', 'min-replicas-to-write', '1'),
    heal: ({ admin }) => admin.config('SET', 'min-replicas-to-write', '0'),
  },
  'a snapshot that could not be written (MISCONF)': {
    async refuse({ admin, dir }) {
      await mkdir(join(dir, 'dump.rdb')) // a file cannot be renamed to the name of a folder
      await admin.config('SET', 'save', '3600 1000000')
      await saved(admin, 'err')
    },
    async heal({ admin, dir }) {
      await rmdir(join(dir, 'dump.rdb'))
      await saved(admin, 'ok')
    },
  },
  'rights that were taken away (NOPERM)': {
    refuse: ({ admin }) => admin.acl('SETUSER', 'catalog', 'resetkeys'),
    heal: ({ admin }) => admin.acl('SETUSER', 'catalog', '~*'),
  },
}

async function saved(admin: Redis, status: 'ok' | 'err') {
  await admin.bgsave()
  await vi.waitFor(
    async () => expect(await admin.info('persistence')).toContain(`rdb_last_bgsave_status:${status}`),
    quickly,
  )
}

async function world() {
  const dir = await mkdtemp(join(tmpdir(), 'shop-refused-'))
  const server = await startRedis({ dir })
  onTestFinished(() => server.stop().then(() => rm(dir, { recursive: true })))
  const connect = (name: string, url = server.url) => {
    const redis = connectRedis(url, { name })
    onTestFinished(() => closeRedis(redis))
    return redis
  }
  const admin = connect('admin')
  await whenReady(admin, 5_000)
  await admin.acl('SETUSER', 'catalog', 'on', '>secret', '~*', '&*', '+@all')
  const keys = discoveryKeys()
  const registry = createRegistry(connect('instances', server.url.replace('//', '//catalog:secret@')), {
    keys,
    ttlMs: TTL_MS,
  })
  return { admin, dir, start, call }

  /** An instance that listens and beats. */
  async function start(id: string) {
    const listener = createServer((socket) => socket.destroy())
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    onTestFinished(() => void listener.close())
    const { port } = listener.address() as AddressInfo
    const record = { id, service: 'catalog', host: '127.0.0.1', port, startedAtMs: 1 }
    const registration = createRegistration(registry, record, { onError: () => {} })
    onTestFinished(() => registration.leave().catch(() => {}))
    await registration.start()
    return { registration, kill: () => void listener.close(), isFenced: registration.isFenced }
  }

  /** A caller, and every list that it has shown. */
  async function call(answers: (instance: Instance) => Promise<boolean>, user = '') {
    const subscriber = connectSubscriber(server.url, { name: 'caller' })
    onTestFinished(() => subscriber.close())
    const url = user ? server.url.replace('//', `//${user}:secret@`) : server.url
    const callers = createRegistry(connect('caller', url), { keys, ttlMs: TTL_MS })
    const directory = createDirectory(callers, subscriber, {
      services: ['catalog'],
      answers,
      resyncMs: 600,
      onError() {},
    })
    onTestFinished(() => directory.close())
    const shown: string[] = []
    const ids = () => idsOf(directory.instances('catalog'))
    directory.onChange((_, instances) => shown.push(idsOf(instances)))
    await directory.start()
    return { directory, shown, ids }
  }
}

function idsOf(instances: readonly Instance[]) {
  return instances
    .map(({ id }) => id)
    .sort()
    .join('')
}

for (const [cause, { refuse, heal }] of Object.entries(causes)) {
  test(`${cause}: instances that answer are kept, a caller that starts then finds them, one that dies is dropped`, async () => {
    const { start, call, ...server } = await world()
    const instances = { a: await start('a'), b: await start('b') }
    const alive = new Set(['a', 'b'])
    const answers = async ({ id }: Instance) => alive.has(id)
    const { directory, ids, shown } = await call(answers)
    await vi.waitFor(() => expect(ids()).toBe('ab'), quickly)
    const from = shown.length

    await refuse(server)
    await vi.waitFor(() => expect([instances.a.isFenced(), instances.b.isFenced()]).toEqual([true, true]), quickly)
    await vi.waitFor(() => expect(directory.isDegraded()).toBe(true), quickly)
    const late = await call(answers)
    expect([ids(), late.ids(), shown.slice(from)]).toEqual(['ab', 'ab', []])

    alive.delete('b')
    await vi.waitFor(() => expect([ids(), late.ids()]).toEqual(['a', 'a']), quickly)
    alive.add('b')
    await vi.waitFor(() => expect([ids(), late.ids()]).toEqual(['ab', 'ab']), quickly)

    await heal(server)
    await vi.waitFor(() => expect([directory.isDegraded(), instances.a.isFenced()]).toEqual([false, false]), quickly)
    expect([ids(), late.ids(), shown.slice(from)]).toEqual(['ab', 'ab', ['a', 'ab']])
  }, 60_000)
}

test('a caller whose rights are taken away keeps what it knows', async () => {
  const { admin, start, call } = await world()
  await start('a')
  const { directory, ids, shown } = await call(async () => true, 'catalog')
  await vi.waitFor(() => expect(ids()).toBe('a'), quickly)
  await admin.acl('SETUSER', 'catalog', 'resetkeys')
  await vi.waitFor(() => expect(directory.isDegraded()).toBe(true), quickly)
  expect([ids(), shown]).toEqual(['a', ['a']])
  await admin.acl('SETUSER', 'catalog', '~*')
  await vi.waitFor(() => expect(directory.isDegraded()).toBe(false), quickly)
  expect([ids(), shown]).toEqual(['a', ['a']])
})

test('control: without a question to the instances, refused heartbeats leave none', async () => {
  const { admin, start, call } = await world()
  await start('a')
  const { ids } = await call(async () => false)
  await vi.waitFor(() => expect(ids()).toBe('a'), quickly)
  await admin.config('SET', 'maxmemory', '1')
  await vi.waitFor(() => expect(ids()).toBe(''), quickly)
})

test('an instance that stops while its goodbye is refused is not kept', async () => {
  const { admin, start, call } = await world()
  const [leaving] = [await start('a'), await start('b')]
  const stopped = new Set<string>()
  const { ids } = await call(async ({ id }) => !stopped.has(id))
  await vi.waitFor(() => expect(ids()).toBe('ab'), quickly)
  await admin.config('SET', 'min-replicas-to-write', '1')
  stopped.add('a')
  await leaving.registration.leave().catch(() => {})
  await vi.waitFor(() => expect(ids()).toBe('b'), quickly)
})
