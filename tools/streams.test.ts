/** The command line against the real gateway, user and order services: what people type, and what they get to see. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { topics } from '@shop/contracts/topics'
import type { SessionList } from '@shop/contracts/user'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createTopic, type Message, topicKeys } from '@shop/redis-kit/stream'
import { createDeadLetters } from '@shop/redis-kit/stream/dead-letters'
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { testDatabase } from '@shop/test-kit/postgres'
import { startService } from '@shop/test-kit/service'
import pg from 'pg'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { signInAsAdmin } from './command-line/admin-session.ts'
import { generateAccounts, seedAccounts } from './seed/accounts.ts'

const accounts = generateAccounts()
const [customer, admin] = [accounts[0], accounts[2]] as [(typeof accounts)[0], (typeof accounts)[0]]
const [userDatabase, orderDatabase, state, cache] = await Promise.all([
  testDatabase('user'),
  testDatabase('order'),
  startRedisWithUsers('state'),
  startRedisWithUsers('cache'),
])
await seedUsers(userDatabase.url)
const { IDENTITY_PRIVATE_KEY, IDENTITY_PUBLIC_KEY } = generateIdentityKeys()
const stateAs = (service: string) => ({ REDIS_STATE_URL: state.urlAs(service) })
const [user, order, gateway] = await Promise.all([
  startService({ app: 'user', env: { ...stateAs('user'), IDENTITY_PUBLIC_KEY, DATABASE_URL: userDatabase.url } }),
  startService({ app: 'order', env: { ...stateAs('order'), IDENTITY_PUBLIC_KEY, DATABASE_URL: orderDatabase.url } }),
  startService({
    app: 'gateway',
    env: { ...stateAs('gateway'), REDIS_CACHE_URL: cache.urlAs('gateway'), IDENTITY_PRIVATE_KEY },
  }),
])
const redis = connectRedis(state.url, { name: 'test' })
const keys = topicKeys(topics.orderEvents.service, topics.orderEvents.entity, topics.orderEvents)
const topic = createTopic(redis, { keys })
const letters = createDeadLetters(redis, { keys })
afterAll(async () => {
  await Promise.all([gateway, order, user].map((service) => service.stop()))
  await closeRedis(redis)
  await Promise.all([state.stop(), cache.stop()])
})

/** What is typed after `npm run streams --`. */
function streams(args: string, env: Record<string, string> = {}) {
  const given = { SHOP_ADMIN_EMAIL: admin.email, SHOP_ADMIN_PASSWORD: admin.password, SHOP_URL: gateway.url, ...env }
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(
      process.execPath,
      [new URL('streams.ts', import.meta.url).pathname, ...args.split(' ').filter(Boolean)],
      { env: { PATH: process.env.PATH, ...given } },
      (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
    ).stdin?.end()
  })
}

async function seedUsers(url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await seedAccounts(client, accounts)
  await client.end()
}

/** Reads the order's events for a group that the shop does not have, until so many were seen. */
async function read(count: number, handle: (message: Message) => Promise<unknown>): Promise<string[]> {
  const stopping = new AbortController()
  const seen: string[] = []
  const connect = () => connectRedis(state.url, { name: 'test-blocking', role: 'blocking' })
  for await (const message of topic.read({ group: 'mail', consumer: 'mail-1', connect, signal: stopping.signal })) {
    await handle(message)
    if (seen.push(message.eventId) === count) break
  }
  stopping.abort()
  return seen
}

/** So many events that the group gave up. Returns their ids. */
async function bury(count: number): Promise<string[]> {
  for (let i = 0; i < count; i++) {
    const [id, key] = [randomUUID(), `order-${i}`]
    await topic.publish({ id, key, type: 'order.placed', body: JSON.stringify({ id, note: 'an address\u001b[2J' }) })
  }
  return read(count, (message) => message.reject(new Error('no mail server\u0007')))
}

beforeEach(async () => {
  for (const { letterId } of (await letters.list({ limit: 1000 })).letters) await letters.discard(letterId)
})

const name = keys.name

describe('npm run streams', () => {
  it('lists every topic, and says with its exit code that one could not be seen', async () => {
    await bury(2)
    const { code, out } = await streams('list')
    expect(out).toMatch(/^order:events +2 partitions, \d+ events kept, 2 dead letters$/m)
    expect(out).toMatch(/^ {2}mail: 0 unread, 0 pending.*1 consumer$/m)
    expect(out).toMatch(/^catalog:stock, .*unavailable, catalog does not answer$/m)
    expect(code).toBe(1)
    const json = JSON.parse((await streams('list --json')).out)
    expect(json.items).toMatchObject([{ topic: name, deadLetterCount: 2, groups: [{ group: 'mail' }] }])
  })

  it('lists and shows dead letters, and nothing that a terminal would obey', async () => {
    await bury(3)
    const { out } = await streams(`dead list ${name}`)
    expect(out.trimEnd().split('\n')).toHaveLength(4)
    expect(out).toMatch(/order\.placed +order-0 +1x +\S+Z +Error: no mail server\?$/m)
    expect((await streams(`dead list ${name} --limit 2`)).out).toContain('and more')
    const { items, hasMore } = JSON.parse((await streams(`dead list ${name} --limit 2 --json`)).out)
    expect([items.length, hasMore]).toEqual([2, true])
    const shown = await streams(`dead show ${name} ${items[0].id}`)
    expect(shown.out).toMatch(/^body:$[\s\S]*an address/m)
    expect(shown.out).toMatch(/^trace:$[\s\S]*streams\.test\.ts/m)
    expect(`${out}${shown.out}`).not.toMatch(/(?!\n)\p{Cc}/u)
    expect(JSON.parse((await streams(`dead show ${name} ${items[0].id} --json`)).out)).toMatchObject({ group: 'mail' })
  })

  it('redrives one: its group gets it again', async () => {
    const [first] = await bury(1)
    const [{ letterId = '' } = {}] = (await letters.list()).letters
    expect(await streams(`redrive ${name} ${letterId}`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/Redriven as \d+-\d+/),
    })
    expect(await read(1, (message) => message.ack())).toEqual([first])
    expect(await streams(`redrive ${name} ${letterId}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('(dead-letter-not-found)'),
    })
  })

  it('redrives all of them, when it is told that this is meant', async () => {
    const buried = await bury(5)
    const asked = await streams(`redrive ${name} --all`)
    expect(asked).toMatchObject({ code: 1, out: '', err: expect.stringContaining('Add --yes') })
    expect(await letters.count()).toBe(5)
    expect((await streams(`redrive ${name} --all --yes --json`)).out).toBe('{"redrivenCount":5,"remainingCount":0}\n')
    expect((await read(5, (message) => message.ack())).sort()).toEqual(buried.sort())
    expect((await streams(`redrive ${name} --all`)).out).toContain('No dead letters')
  })

  it('discards one, when it is told that this is meant', async () => {
    await bury(1)
    const [{ letterId = '' } = {}] = (await letters.list()).letters
    expect((await streams(`discard ${name} ${letterId}`)).err).toContain('Add --yes')
    expect(await letters.count()).toBe(1)
    expect(await streams(`discard ${name} ${letterId} --yes`)).toMatchObject({ code: 0, out: 'Discarded.\n' })
    expect(await letters.count()).toBe(0)
  })

  it('leaves no session behind', async () => {
    await streams('list')
    const session = await signInAsAdmin({ url: gateway.url, ...admin })
    const { items } = (await (await session.request('/api/sessions')).json()) as SessionList
    expect(items.map(({ current }) => current)).toEqual([true])
    await session.signOut()
    expect((await session.request('/api/sessions')).status).toBe(401)
  })

  it.each([
    ['dead list nothing:here', {}, 'No service has a topic with this name (topic-not-found)'],
    ['redrive nothing:here --all', {}, 'Unknown topic nothing:here: npm run streams -- list shows all topics.'],
    ['redrive catalog:stock --all', {}, 'catalog:stock is not available now: try again later.'],
    ['dead show order:events 0.1-1', {}, '(dead-letter-not-found)'],
    ['list', { SHOP_ADMIN_PASSWORD: 'wrong' }, '(credentials-wrong)'],
    ['list', { SHOP_ADMIN_EMAIL: customer.email, SHOP_ADMIN_PASSWORD: customer.password }, 'is not an administrator'],
    [
      'list',
      { SHOP_ADMIN_EMAIL: '', SHOP_ADMIN_PASSWORD: '' },
      'SHOP_ADMIN_PASSWORD is missing, and without a terminal it cannot be asked for: set it.',
    ],
    [
      'list',
      { SHOP_URL: 'http://127.0.0.1:1023', SHOP_ADMIN_PASSWORD: '' },
      "cannot be reached (ECONNREFUSED): name the shop's address with --url or SHOP_URL.",
    ],
    ['list', { SHOP_URL: 'http://127.0.0.1:6000' }, 'cannot be reached (fetch refuses this port)'],
  ])('says in a sentence what is wrong: %s %o', async (args, env, sentence) => {
    const { code, out, err } = await streams(args, env as Record<string, string>)
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain(sentence)
    expect(err).toContain('See npm run streams -- --help')
    expect(err).not.toContain('    at ')
  })

  it.each([
    ['list --url nonsense', '--url (or SHOP_URL) must be a URL like http://localhost:8080, not "nonsense".'],
    ['discard order:events', 'Usage: discard <topic> <id>'],
    ['discard order:events 1.1-1 --all', 'Use --all with redrive only'],
    ['dead', 'Unknown command "dead"'],
    ['list --limit many', '--limit must be a whole number'],
    ['list --al', 'Unknown option --al.'],
  ])('exits with 2 for a wrong option: %s', async (args, sentence) => {
    const { code, out, err } = await streams(args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(`${sentence}`)
  })

  it('signs in as the account of the demo when only the password is given', async () => {
    expect((await streams('list', { SHOP_ADMIN_EMAIL: '' })).out).toContain('order:events')
  })
})
