import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/client'
import { createIdempotency, idempotencyKeys } from '@shop/redis-kit/idempotency'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { testRedis } from '@shop/test-kit/redis'
import pg from 'pg'
import { Type } from 'typebox'
import { Agent, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineErrors } from './errors.ts'
import type { FixtureSetup } from './idempotency.fixture.ts'
import { guardIdempotency } from './idempotency.ts'
import { createIdentityMinter, generateIdentityKeys, identityHeader } from './identity.ts'
import { createLog } from './log.ts'
import { createServer, type Server } from './server.ts'

const redisServer = await testRedis()
const identityKeys = generateIdentityKeys()
const mint = createIdentityMinter(identityKeys.IDENTITY_PRIVATE_KEY)
const ada = { [identityHeader]: mint({ role: 'customer', userId: 'ada', session: 's' }) }
const bob = { [identityHeader]: mint({ role: 'customer', userId: 'bob', session: 's' }) }
const guest = { [identityHeader]: mint({ role: 'guest' }) }

interface Answer {
  status: number
  headers: Record<string, unknown>
  body: string
  code?: string
}

/** A service with one route per kind of answer; `effects` counts how often a handler ran. */
async function open({ url = redisServer.url, leaseMs = 60_000 } = {}) {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 1_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  const logged: string[] = []
  const log = createLog({
    service: 't',
    instanceId: 't-1',
    level: 'warn',
    destination: { write: (l) => void logged.push(l) },
  })
  const server = createServer({ log, identityPublicKey: identityKeys.IDENTITY_PUBLIC_KEY })
  onTestFinished(() => server.close())
  const keys = idempotencyKeys(redisServer.namespace(), 'test')
  const counts = { effects: 0 }
  const gate = Promise.withResolvers<void>()
  addRoutes(server, counts, gate.promise)
  guardIdempotency(server, createIdempotency(redis, { keys, leaseMs, ttlMs: 600_000, maxResponseBytes: 4096 }))

  async function post(
    path: string,
    { as = ada, key, body = { n: 1 } }: { as?: object; key?: string; body?: object } = {},
  ) {
    const headers = { ...as, 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) }
    const {
      statusCode,
      headers: sent,
      body: text,
    } = await server.inject({ method: 'POST', url: path, headers, payload: body })
    const isProblem = String(sent['content-type']).startsWith('application/problem')
    return {
      status: statusCode,
      headers: sent,
      body: text,
      code: isProblem ? JSON.parse(text).code : undefined,
    } as Answer
  }
  return { server, post, counts, redis, logged, finishSlow: gate.resolve }
}

const failures = defineErrors({
  cartEmpty: ['conflict', 'cart-empty', 'The cart is empty'],
  tooMany: ['too-many', 'too-many', 'Later'],
})

function addRoutes(server: Server, counts: { effects: number }, gate: Promise<void>) {
  const config = { idempotent: { required: true } }
  const schema = { body: Type.Object({ n: Type.Integer(), m: Type.Optional(Type.Integer()) }) }
  const effect = () => ({ effect: ++counts.effects })
  server.post('/things', { config, schema }, (_request, reply) =>
    reply.code(201).header('location', '/things/1').header('set-cookie', 'secret=1').send(effect()),
  )
  server.post('/things/:id/cancel', { config, schema }, effect)
  server.post('/optional', { config: { idempotent: { required: false } }, schema }, effect)
  server.post('/nothing', { config, schema }, (_request, reply) => {
    effect()
    return reply.code(204).send()
  })
  server.post('/refused', { config, schema }, () => {
    effect()
    throw failures.cartEmpty()
  })
  server.post('/later', { config, schema }, () => {
    effect()
    throw failures.tooMany()
  })
  server.post('/broken', { config, schema }, () => {
    effect()
    throw new Error('a bug')
  })
  server.post('/slow', { config, schema }, async () => {
    const answer = effect()
    await gate
    return answer
  })
  server.post('/huge', { config, schema }, () => ({ ...effect(), text: 'x'.repeat(5000) }))
}

describe('a repeated request', () => {
  test('has its effect once and gets the same bytes, the listed headers and a note', async () => {
    const { post, counts } = await open()
    const first = await post('/things', { key: 'k' })
    const second = await post('/things', { key: 'k' })
    expect([first.status, second.status]).toEqual([201, 201])
    expect(second.body).toBe(first.body)
    expect(second.headers).toMatchObject({
      location: '/things/1',
      'content-type': first.headers['content-type'],
      'idempotent-replayed': 'true',
    })
    expect(first.headers['set-cookie']).toBe('secret=1')
    expect(second.headers['set-cookie']).toBeUndefined()
    expect(first.headers['idempotent-replayed']).toBeUndefined()
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id'])
    expect(counts.effects).toBe(1)
  })

  test('without a body in its answer gets none', async () => {
    const { post, counts } = await open()
    const [first, second] = [await post('/nothing', { key: 'k' }), await post('/nothing', { key: 'k' })]
    expect([first.status, second.status, second.body]).toEqual([204, 204, ''])
    expect(second.headers['content-type']).toBeUndefined()
    expect(counts.effects).toBe(1)
  })

  test('that was refused for a reason that stays is refused by the same words', async () => {
    const { post, counts } = await open()
    const [first, second] = [await post('/refused', { key: 'k' }), await post('/refused', { key: 'k' })]
    expect([first.status, first.code]).toEqual([409, 'cart-empty'])
    expect(second).toMatchObject({
      status: 409,
      body: first.body,
      headers: { 'content-type': first.headers['content-type'] },
    })
    expect(counts.effects).toBe(1)
  })

  test.each([
    ['/broken', 500],
    ['/later', 429],
  ])(
    'of %s, whose outcome is unknown or passes, is tried again once the lease has run out, and not before',
    async (path, status) => {
      const { post, counts } = await open({ leaseMs: 500 })
      expect(await post(path, { key: 'k' })).toMatchObject({ status })
      const answers = await untilAnswered(() => post(path, { key: 'k' }))
      expect(answers.slice(0, -1).every(({ code }) => code === 'request-in-progress')).toBe(true)
      expect(answers.at(-1)).toMatchObject({ status })
      expect(counts.effects).toBe(2)
    },
  )

  test('while the first is being served is a 409 that says when to come back, for longer than a lease', async () => {
    const { post, counts, finishSlow } = await open({ leaseMs: 2_000 })
    const first = post('/slow', { key: 'k' })
    await untilTrue(() => counts.effects === 1)
    const endMs = performance.now() + 3_000
    while (performance.now() < endMs) {
      const answer = await post('/slow', { key: 'k' })
      expect(answer).toMatchObject({ status: 409, code: 'request-in-progress', headers: { 'retry-after': '1' } })
      await sleep(100)
    }
    finishSlow()
    expect((await first).status).toBe(200)
    expect(await post('/slow', { key: 'k' })).toMatchObject({ status: 200, body: (await first).body })
    expect(counts.effects).toBe(1)
  })

  test('of a client that went away before the answer gets that answer', async () => {
    const { server, counts, finishSlow } = await open()
    const url = `${await server.listen({ port: 0, host: '127.0.0.1' })}/slow`
    const ask = (signal?: AbortSignal) =>
      fetch(url, {
        method: 'POST',
        body: '{"n":1}',
        headers: { ...ada, 'content-type': 'application/json', 'idempotency-key': 'k' },
        signal,
      })
    const controller = new AbortController()
    const gone = ask(controller.signal).catch(() => 'gone')
    await untilTrue(() => counts.effects === 1)
    controller.abort()
    expect(await gone).toBe('gone')
    finishSlow()
    let answer = await ask()
    for (; answer.status === 409; answer = await ask()) await sleep(20)
    expect(answer.headers.get('idempotent-replayed')).toBe('true')
    expect(await answer.json()).toEqual({ effect: 1 })
  })
})

describe('another request under the same key', () => {
  test('is refused: another body, another id in the path', async () => {
    const { post, counts } = await open()
    await post('/things', { key: 'k' })
    expect(await post('/things', { key: 'k', body: { n: 2 } })).toMatchObject({
      status: 422,
      code: 'idempotency-key-reused',
    })
    await post('/things/1/cancel', { key: 'k' })
    expect(await post('/things/2/cancel', { key: 'k' })).toMatchObject({ status: 422 })
    expect(counts.effects).toBe(2)
  })

  test('is not another because its fields come in another order', async () => {
    const { post } = await open()
    await post('/things', { key: 'k', body: { n: 1, m: 2 } })
    expect(await post('/things', { key: 'k', body: { m: 2, n: 1 } })).toMatchObject({ status: 201 })
  })

  test('is served for another user, and on another route', async () => {
    const { post, counts } = await open()
    for (const [path, as] of [
      ['/things', ada],
      ['/things', bob],
      ['/optional', ada],
    ] as const) {
      const answer = await post(path, { key: 'k', as })
      expect(answer.headers['idempotent-replayed']).toBeUndefined()
      expect(answer.status).toBeLessThan(300)
    }
    expect(counts.effects).toBe(3)
  })
})

describe('a key', () => {
  test.each([undefined, '', 'with space', 'ü', 'x'.repeat(129)])('that is required and is %j is a 400', async (key) => {
    const { post, counts } = await open()
    expect(await post('/things', { key })).toMatchObject({ status: 400, code: 'idempotency-key-required' })
    expect(counts.effects).toBe(0)
  })

  test('that is not required may be left out, and counts when it is there', async () => {
    const { post, counts } = await open()
    await post('/optional')
    await post('/optional')
    expect(counts.effects).toBe(2)
    await post('/optional', { key: 'k' })
    await post('/optional', { key: 'k' })
    expect(counts.effects).toBe(3)
    expect(await post('/optional', { key: 'not valid' })).toMatchObject({ status: 400 })
  })

  test('leaves no trace when the request is refused before its handler', async () => {
    const { post } = await open()
    expect(await post('/things', { key: 'k', body: { n: 'one' } })).toMatchObject({
      status: 400,
      code: 'validation-failed',
    })
    expect(await post('/things', { key: 'k', as: guest })).toMatchObject({ status: 401, code: 'sign-in-required' })
    expect(await post('/things', { key: 'k' })).toMatchObject({ status: 201 })
  })
})

test('without Redis nothing is done', async () => {
  const proxy = await startFaultProxy({ port: Number(new URL(redisServer.url).port) })
  onTestFinished(() => proxy.stop())
  const { post, counts, redis } = await open({ url: proxy.via(redisServer.url) })
  await proxy.refuse()
  await untilTrue(() => redis.status !== 'ready')
  expect(await post('/things', { key: 'k' })).toMatchObject({ status: 503, code: 'dependency-unavailable' })
  expect(counts.effects).toBe(0)
})

test('an answer that cannot be kept is sent, and that is logged', async () => {
  const { post, logged } = await open()
  expect(await post('/huge', { key: 'k' })).toMatchObject({ status: 200 })
  expect(logged.join()).toContain('could not be kept')
  expect(await post('/huge', { key: 'k' })).toMatchObject({ status: 409 })
})

describe('over two processes', { timeout: 90_000 }, () => {
  async function start(leaseMs: number, hangsAt?: FixtureSetup['hangsAt']) {
    const database = await testDatabase()
    const pool = new pg.Pool({ connectionString: database.url, max: 2 })
    onTestFinished(() => pool.end())
    await pool.query('CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY)')
    await pool.query('CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, key text PRIMARY KEY)')
    const namespace = redisServer.namespace()
    const setup = { redisUrl: redisServer.url, databaseUrl: database.url, namespace, leaseMs }
    const processes = await Promise.all([startProcess({ ...setup, hangsAt }), startProcess(setup)])
    const dispatcher = new Agent({ connections: 100, pipelining: 1 })
    onTestFinished(() => dispatcher.close())

    async function post(process: number, path: string, key: string): Promise<Answer> {
      const url = `${processes[process]?.url}${path}`
      const headers = { 'content-type': 'application/json', 'idempotency-key': key }
      const {
        statusCode,
        headers: sent,
        body,
      } = await request(url, { method: 'POST', headers, body: '{}', dispatcher })
      return { status: statusCode, headers: sent, body: await body.text() }
    }
    const count = async (table: string) => Number((await pool.query(`SELECT count(*) FROM ${table}`)).rows[0].count)
    return { processes: processes as [Process, Process], post, count }
  }

  test('1,000 times the same at once is one effect, and everybody has its answer in the end', async () => {
    const { post, count } = await start(30_000)
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => post(i % 2, '/effects', 'k')))
    expect(await count('effects')).toBe(1)
    const served = answers.filter(({ status }) => status === 202)
    expect(served.filter(({ headers }) => headers['idempotent-replayed'] === undefined).length).toBe(1)
    expect(answers.filter(({ status }) => status === 409).length).toBe(1000 - served.length)
    const afterwards = await Promise.all(Array.from({ length: 100 }, (_, i) => post(i % 2, '/effects', 'k')))
    expect(afterwards.every(({ status }) => status === 202)).toBe(true)
    expect(new Set([...served, ...afterwards].map(({ body }) => body)).size).toBe(1)
    expect(await count('effects')).toBe(1)
  })

  test('is many effects when each looks first and remembers later', async () => {
    const { post, count } = await start(30_000)
    await Promise.all(Array.from({ length: 200 }, (_, i) => post(i % 2, '/naive', 'k')))
    expect(await count('effects')).toBeGreaterThan(1)
  })

  test.each(['before-commit', 'after-commit'] as const)(
    'one killed %s leaves its work to the other once the lease has run out: one order',
    async (hangsAt) => {
      const { post, count, processes } = await start(2_000, hangsAt)
      const [first] = processes
      const dying = post(0, '/orders', 'k').catch(() => 'no answer')
      await first.hanging
      expect(await post(1, '/orders', 'k')).toMatchObject({ status: 409, headers: { 'retry-after': '1' } })
      await first.kill()
      expect(await dying).toBe('no answer')
      expect(await count('orders')).toBe(hangsAt === 'after-commit' ? 1 : 0)
      const served = (await untilAnswered(() => post(1, '/orders', 'k'))).at(-1)
      expect(served?.status).toBe(202)
      expect(await post(1, '/orders', 'k')).toMatchObject({
        body: served?.body,
        headers: { 'idempotent-replayed': 'true' },
      })
      expect(await count('orders')).toBe(1)
    },
  )
})

interface Process {
  url: string
  hanging: Promise<unknown>
  kill(): Promise<void>
}

async function startProcess(setup: FixtureSetup): Promise<Process> {
  const child = fork(fileURLToPath(new URL('./idempotency.fixture.ts', import.meta.url)), [JSON.stringify(setup)], {
    execArgv: [],
  })
  onTestFinished(() => stop(child))
  const hanging = Promise.withResolvers<void>()
  child.on('message', ({ event }: { event: string }) => event === 'hanging' && hanging.resolve())
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  const kill = async () => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return { url, hanging: hanging.promise, kill }
}
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
/** Asks until the answer is no "in progress" any more. */
async function untilAnswered(ask: () => Promise<Answer>, pauseMs = 20): Promise<Answer[]> {
  const answers: Answer[] = []
  const deadlineMs = performance.now() + 20_000
  for (;;) {
    const answer = await ask()
    answers.push(answer)
    if (answer.code !== 'request-in-progress' && answer.status !== 409) return answers
    if (performance.now() > deadlineMs) throw new Error('still in progress')
    await sleep(pauseMs)
  }
}
async function untilTrue(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${condition}`)
    await sleep(5)
  }
}
