import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createTopic, type Message, topicKeys } from '@shop/redis-kit/stream'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createServer } from '../http/server.ts'
import { createIdentityMinter, generateIdentityKeys, type Identity, identityHeader } from '../identity/identity.ts'
import { createLog } from '../telemetry/log.ts'
import { streamConsoleRoutes } from './stream-console.ts'

const servers = await testRedis()
const pair = generateIdentityKeys()
const mint = createIdentityMinter(pair.IDENTITY_PRIVATE_KEY)
const adminId = randomUUID()
const admin: Identity = { role: 'admin', userId: adminId, session: 'handle' }

/** A topic with dead letters in it, and the console of the service that owns it. */
async function setUp(letterCount = 0) {
  const service = servers.namespace({ allowImmortal: (key) => /:(stream|dead)$/.test(key) })
  const redis = connectRedis(servers.url, { name: service, commandTimeoutMs: 3_000 })
  onTestFinished(() => closeRedis(redis))
  const keys = topicKeys(service, 'events', { partitions: 2 })
  const topic = createTopic(redis, { keys })
  const lines: string[] = []
  const log = createLog({ service, instanceId: service, destination: { write: (line) => void lines.push(line) } })
  const server = createServer({ log, name: service, identityPublicKey: pair.IDENTITY_PUBLIC_KEY })
  streamConsoleRoutes(server, redis, { topics: [keys] })
  const name = encodeURIComponent(keys.name)

  if (letterCount > 0) await bury(letterCount)
  return { ask, bury, consume, topic, redis, keys, logged: () => lines.map((line) => JSON.parse(line)), lines }

  async function ask(method: 'GET' | 'POST' | 'DELETE', rest = '', who: Identity | null = admin) {
    const url = `/api/console/streams${rest.replace(':topic', name)}`
    const response = await server.inject({ method, url, headers: who ? { [identityHeader]: mint(who) } : {} })
    return { status: response.statusCode, body: response.body === '' ? undefined : response.json() }
  }

  /** Events that a group reads and gives up. */
  async function bury(count: number) {
    const reader = consume((message) => message.reject(new RangeError('makes no sense')))
    for (let i = 0; i < count; i++) {
      const body = JSON.stringify({ secret: 'an address', requestId: `request-${i}` })
      await topic.publish({ id: `event-${i}`, key: `key-${i}`, type: 'thing.happened', body })
    }
    await expect.poll(async () => (await topic.stats('group')).deadLetterCount, { timeout: 10_000 }).toBe(count)
    await reader.stop()
  }

  function consume(handle: (message: Message) => Promise<unknown>) {
    const stopping = new AbortController()
    const connect = () => connectRedis(servers.url, { name: `${service}-blocking`, role: 'blocking' })
    const messages = topic.read({ group: 'group', consumer: 'one', connect, signal: stopping.signal })
    const seen: string[] = []
    const done = (async () => {
      for await (const message of messages) {
        seen.push(message.eventId)
        await handle(message)
      }
    })()
    const stop = async () => {
      stopping.abort()
      await done
    }
    onTestFinished(stop)
    return { seen, stop }
  }
}

describe('the console of streams', () => {
  test('is for administrators only', async () => {
    const { ask } = await setUp()
    const requests = [
      ['GET', ''],
      ['GET', '/:topic/dead'],
      ['GET', '/:topic/dead/0.1-1'],
      ['POST', '/:topic/dead/redrive'],
      ['POST', '/:topic/dead/0.1-1/redrive'],
      ['DELETE', '/:topic/dead/0.1-1'],
    ] as const
    for (const [method, rest] of requests) {
      expect(await ask(method, rest, null)).toMatchObject({ status: 401, body: { code: 'identity-missing' } })
      expect(await ask(method, rest, { role: 'guest' })).toMatchObject({ body: { code: 'sign-in-required' } })
      const customer: Identity = { role: 'customer', userId: randomUUID() }
      expect(await ask(method, rest, customer)).toMatchObject({ status: 403, body: { code: 'admin-only' } })
    }
  })

  test('lists the topics with their groups, as contracts have it', async () => {
    const { ask, keys } = await setUp(3)
    expect(await ask('GET')).toEqual({
      status: 200,
      body: {
        items: [
          {
            topic: keys.name,
            partitionCount: 2,
            lengthCount: 3,
            deadLetterCount: 3,
            groups: [
              {
                group: 'group',
                lagCount: 0,
                isLagExact: true,
                pendingCount: 0,
                retryCount: 0,
                oldestAgeMs: 0,
                consumers: [{ consumer: 'one', pendingCount: 0, idleMs: expect.any(Number) }],
              },
            ],
          },
        ],
      },
    })
  })

  test('pages through the dead letters, each once, and without their bodies', async () => {
    const { ask } = await setUp(7)
    const found: { id: string; eventId: string }[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { body } = await ask('GET', `/:topic/dead?limit=3${cursor && `&cursor=${cursor}`}`)
      found.push(...body.items)
      cursor = body.nextCursor
    }
    expect(found.map(({ eventId }) => eventId).sort()).toEqual(Array.from({ length: 7 }, (_, i) => `event-${i}`))
    expect(JSON.stringify(found)).not.toContain('an address')
    expect(found[0]).toMatchObject({ group: 'group', reason: 'RangeError: makes no sense', attemptCount: 1 })
    expect(await ask('GET', '/:topic/dead?cursor=nonsense')).toMatchObject({ body: { code: 'cursor-invalid' } })
    expect(await ask('GET', '/:topic/dead?limit=1000')).toMatchObject({ body: { code: 'validation-failed' } })
  })

  test('shows one with its body, why it was given up, and the request it came from', async () => {
    const { ask, redis, keys } = await setUp(1)
    const [{ id }] = (await ask('GET', '/:topic/dead')).body.items
    expect((await ask('GET', `/:topic/dead/${id}`)).body).toMatchObject({
      id,
      reason: 'RangeError: makes no sense',
      attemptCount: 1,
      trace: expect.stringContaining('stream-console.test.ts'),
      streamId: expect.stringMatching(/^\d+-\d+$/),
      deadSince: expect.stringMatching(/Z$/),
      body: '{"secret":"an address","requestId":"request-0"}',
      requestId: 'request-0',
      otherFields: {},
    })
    const history = ['group', 'g', 'origin', '1-1', 'reason', 'r', 'attempts', '2', 'trace', '']
    const strangeId = await redis.xadd(keys.dead.key(1), '*', ...history, 'surprise', 'yes', 'traceparent', '00-x')
    expect((await ask('GET', `/:topic/dead/1.${strangeId}`)).body).toMatchObject({
      trace: '',
      traceparent: '00-x',
      otherFields: { surprise: 'yes' },
    })
  })

  test('says what is not there: another topic, another letter', async () => {
    const { ask } = await setUp()
    const others = ['/other:topic/dead', '/other:topic/dead/0.1-1']
    for (const rest of others)
      expect(await ask('GET', rest)).toMatchObject({ status: 404, body: { code: 'topic-not-found' } })
    for (const id of ['0.1-1', '99.1-1', 'nonsense', '0.99999999999999999999-1']) {
      const missing = { status: 404, body: { code: 'dead-letter-not-found' } }
      expect(await ask('GET', `/:topic/dead/${id}`)).toMatchObject(missing)
      expect(await ask('POST', `/:topic/dead/${id}/redrive`)).toMatchObject(missing)
      expect(await ask('DELETE', `/:topic/dead/${id}`)).toMatchObject(missing)
    }
  })

  test('redrives one: once, to the group that gave it up, and says who did it', async () => {
    const { ask, consume, logged, lines, topic } = await setUp(2)
    const [{ id, eventId }] = (await ask('GET', '/:topic/dead')).body.items
    const answers = await Promise.all([1, 2].map(() => ask('POST', `/:topic/dead/${id}/redrive`)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404])
    const reader = consume((message) => message.ack())
    await expect.poll(() => reader.seen, { timeout: 10_000 }).toEqual([eventId])
    expect((await topic.stats('group')).deadLetterCount).toBe(1)
    const audits = logged().filter(({ msg }) => msg === 'dead letter redriven')
    expect(audits).toEqual([
      expect.objectContaining({ userId: adminId, letterId: id, eventId, group: 'group', type: 'thing.happened' }),
    ])
    expect(lines.join()).not.toContain('an address')
  })

  test('redrives all of them, so many at most', async () => {
    const { ask, consume, logged } = await setUp(150)
    expect((await ask('POST', '/:topic/dead/redrive?limit=20')).body).toEqual({
      redrivenCount: 20,
      remainingCount: 130,
    })
    expect((await ask('POST', '/:topic/dead/redrive')).body).toEqual({ redrivenCount: 130, remainingCount: 0 })
    expect((await ask('POST', '/:topic/dead/redrive')).body).toEqual({ redrivenCount: 0, remainingCount: 0 })
    expect(logged().filter(({ msg }) => msg === 'dead letter redriven')).toHaveLength(150)
    const reader = consume((message) => message.ack())
    await expect.poll(() => new Set(reader.seen).size, { timeout: 15_000 }).toBe(150)
  })

  test('discards one, and says who did it', async () => {
    const { ask, logged } = await setUp(1)
    const [{ id, eventId }] = (await ask('GET', '/:topic/dead')).body.items
    expect((await ask('DELETE', `/:topic/dead/${id}`)).status).toBe(204)
    expect((await ask('DELETE', `/:topic/dead/${id}`)).status).toBe(404)
    const audits = logged().filter(({ msg }) => msg === 'dead letter discarded')
    expect(audits).toEqual([expect.objectContaining({ userId: adminId, letterId: id, eventId })])
  })
})
