/** Records that are damaged or foreign: never repeated as an answer, never a second start unless the caller allows it. */
import { createRandom, integerOf, oneOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damage, newSeed, plant, typesExcept } from '../damage.fixture.ts'
import {
  type Claim,
  createIdempotency,
  type IdempotencyOptions,
  idempotencyKeys,
  RecordDamaged,
} from './idempotency.ts'

const server = await testRedis()
const request = { tenant: 'u-1', route: 'POST /api/orders', key: 'k-1', fingerprint: 'f-1' }
const answer = { status: 202, headers: { 'content-type': 'application/json' }, body: '{"id":1}' }

async function setUp() {
  const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  const keys = idempotencyKeys(server.namespace(), 'test')
  const open = (onDamaged?: IdempotencyOptions['onDamaged']) =>
    createIdempotency(redis, { keys, ttlMs: 60_000, onDamaged })
  const plain = server.connect()
  const begun = (await open().begin(request)) as Claim
  const [key] = await plain.keys(`${keys.glob}`)
  return { plain, key: key as string, begun, refusing: open(), starting: open('start') }
}

test.each(typesExcept('hash'))('a %s in the place of a record is refused, or forgotten', async (type) => {
  const { plain, key, begun, refusing, starting } = await setUp()
  await plant(plain, key, type)
  await expect(refusing.begin(request)).rejects.toThrow(RecordDamaged)
  expect(await plain.pttl(key)).toBeGreaterThan(0) // and so ends by itself
  expect(await Promise.all([begun.renew(), begun.complete(answer), begun.release()])).toEqual([false, false, false])
  const claim = (await starting.begin(request)) as Claim
  expect(await claim.complete(answer)).toBe(true)
  expect(await refusing.begin(request)).toMatchObject({ status: 'replay', response: { status: 202 } })
})

test.each([
  ['headers that are not JSON', { headers: '{' }],
  ['another body', { body: '{"id":2}' }],
  ['a status that is not a number', { status: 'ok' }],
  ['no headers', { headers: undefined }],
  ['no checksum', { sum: undefined }],
])('an answer with %s is not repeated', async (_, change: Record<string, string | undefined>) => {
  const { plain, key, begun, refusing, starting } = await setUp()
  await begun.complete(answer)
  for (const [field, value] of Object.entries(change))
    await (value === undefined ? plain.hdel(key, field) : plain.hset(key, field, value))
  await expect(refusing.begin(request)).rejects.toMatchObject({ code: 'IDEMPOTENCY_RECORD_DAMAGED' })
  expect(await starting.begin(request)).toMatchObject({ status: 'started' })
})

test.each(['', 'soon', '-1', 'nan', 'inf', '9'.repeat(300), `${Date.now() + 10 ** 9}`])(
  'a claim until "%s" holds nobody up',
  async (until) => {
    const { plain, key, refusing, starting } = await setUp()
    await plain.hset(key, 'until', until)
    await expect(refusing.begin(request)).rejects.toThrow(RecordDamaged)
    expect(await starting.begin(request)).toMatchObject({ status: 'started' })
  },
)

test('whatever was damaged, a record says what it said, or it is damaged', async () => {
  const { plain, key, starting, refusing } = await setUp()
  const seed = newSeed()
  const random = createRandom(seed)
  for (let round = 0; round < 200; round++) {
    await plain.del(key)
    const claim = (await starting.begin(request)) as Claim
    if (round % 2 === 0) await claim.complete(answer)
    const fields = Object.entries(await plain.hgetall(key))
    const [field, value] = oneOf(random, fields)
    if (integerOf(random, 0, 4) === 0) await plain.hdel(key, field)
    else await plain.hset(key, field, damage(random, value))
    const where = `seed ${seed}, round ${round}, ${field}`
    const outcome = await refusing.begin(request).catch((error: unknown) => error)
    if (outcome instanceof RecordDamaged) {
      expect(await starting.begin(request), where).toMatchObject({ status: 'started' })
      continue
    }
    expect(outcome, where).not.toBeInstanceOf(Error)
    const { status } = outcome as { status: string }
    if (status === 'replay')
      expect(outcome, where).toMatchObject({ response: { ...answer, body: Buffer.from(answer.body) } })
    // An open claim has no checksum: a fingerprint or lease that looks like one is believed until it expires.
    else if (round % 2 === 0) expect(status, where).toBe('nothing else')
  }
})
