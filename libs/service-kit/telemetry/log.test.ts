import { RedisUnavailable } from '@shop/redis-kit/errors'
import { describe, expect, test } from 'vitest'
import { defineErrors } from '../http/errors.ts'
import { createLog, describeError } from './log.ts'

function capture() {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLog({ service: 'test', instanceId: 'test-1', level: 'debug', destination })
  return { log, text: () => lines.join(''), last: () => JSON.parse(lines.at(-1) ?? '{}') }
}

test('a line is JSON with service, instance, level by name and an ISO time', () => {
  const { log, last } = capture()
  log.info({ orderId: 7 }, 'placed')
  expect(last()).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    service: 'test',
    instance: 'test-1',
    orderId: 7,
    msg: 'placed',
  })
})

describe('a secret does not reach the log', () => {
  const secret = 'tell-nobody'
  const cyclic: Record<string, unknown> = { password: secret }
  cyclic.self = cyclic
  const replyError = Object.assign(new Error('WRONGPASS invalid username-password pair'), {
    name: 'ReplyError',
    code: 'WRONGPASS',
    command: { name: 'auth', args: ['default', secret] },
  })

  test.each<[string, Record<string, unknown>]>([
    ['a cookie', { cookie: secret }],
    ['headers of a request', { req: { headers: { Cookie: secret, authorization: `Bearer ${secret}` } } }],
    ['headers of a response', { res: { headers: { 'set-cookie': [`shop_session=${secret}`] } } }],
    ['the identity header', { headers: { 'x-shop-identity': secret } }],
    ['a password in a list', { users: [{ name: 'a' }, { name: 'b', password: secret }] }],
    ['a session id', { sessionId: secret, sid: secret, session: { id: secret } }],
    ['a token', { token: secret }],
    ['credentials in a URL', { url: `redis://default:${secret}@cache:6379` }],
    ['a password alone in a URL', { url: `rediss+sentinel://:${secret}@a:1,b:2/main` }],
    ['an error with its command', { err: replyError }],
    ['an error under another name', { reason: replyError }],
    ['an error in a list', { failures: [replyError] }],
    ['the cause of an error', { err: new Error('outer', { cause: replyError }) }],
    ['one of many errors', { err: new AggregateError([replyError], 'all failed') }],
    ['a URL in an error', { err: new Error(`cannot reach postgres://app:${secret}@db/app`) }],
    ['an object that contains itself', { cyclic }],
    ['an object without prototype', { body: Object.assign(Object.create(null), { password: secret }) }],
  ])('%s', (_name, fields) => {
    const { log, text, last } = capture()
    log.info(fields, 'something happened')
    expect(last().msg).toBe('something happened')
    expect(text()).not.toContain(secret)
  })

  test('in the message', () => {
    const { log, last } = capture()
    log.info(`connecting to redis://default:${secret}@cache:6379/0 and redis://x:${secret}@state`)
    expect(last().msg).toBe('connecting to redis://***@cache:6379/0 and redis://***@state')
  })

  test('in the bindings of a child', () => {
    const { log, text } = capture()
    log.child({ target: `redis://default:${secret}@cache` }).info('bound')
    expect(text()).not.toContain(secret)
  })
})

test('an error tells its type, code, message, stack and causes', () => {
  const { log, last } = capture()
  const cause = Object.assign(new TypeError('inner'), { code: 'E_INNER' })
  log.error({ err: Object.assign(new Error('outer', { cause }), { code: 'P2002', meta: { target: 'email' } }) })
  expect(last().err).toMatchObject({
    type: 'Error',
    message: 'outer',
    code: 'P2002',
    meta: { target: 'email' },
    stack: expect.stringContaining('log.test.ts'),
    cause: { type: 'TypeError', message: 'inner', code: 'E_INNER' },
  })
})

test('an outage is one line without a stack, its causes too, and so is an answer given on purpose', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' })
  const { full } = defineErrors({ full: ['unavailable', 'storage-full', 'There is no room now'] })
  for (const error of [new RedisUnavailable('not connected', { cause }), full()]) {
    const described = JSON.stringify(describeError(error))
    expect(described).toContain(error.message)
    expect(described).not.toContain('stack')
  }
  expect(describeError(new RedisUnavailable('not connected', { cause }))).toMatchObject({
    cause: { code: 'ECONNREFUSED', message: cause.message },
  })
  const bug = describeError(full({ cause: new TypeError('a bug') }))
  expect(bug).toMatchObject({ cause: { stack: expect.stringContaining('a bug') } })
})

test('what is harmless is not touched, and the object that was logged is never changed', () => {
  const { log, last } = capture()
  const fields = { list: [1, { a: 'mail@example.org' }], when: new Date(0), password: 'x', nothing: null }
  log.info(fields)
  expect(fields.password).toBe('x')
  expect(last()).toMatchObject({
    list: [1, { a: 'mail@example.org' }],
    when: '1970-01-01T00:00:00.000Z',
    nothing: null,
  })
})
