import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { createRateLimit, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { createSessions, sessionKeys } from '@shop/redis-kit/session'
import { testRedis } from '@shop/test-kit/redis'
import { expect, it, onTestFinished } from 'vitest'
import type { Accounts } from '../accounts/accounts.ts'
import type { Account } from '../accounts/store.ts'
import { createSignIn } from './sign-in.ts'

const server = await testRedis()
const password = 'correct horse battery'

/** One account, with `limitCount` attempts. `whileJudged` runs while the password is looked at. */
async function setUp({ limitCount, whileJudged }: { limitCount: number; whileJudged?: () => Promise<void> }) {
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 9_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 5_000)
  const namespace = server.namespace()
  const sessions = createSessions(redis, { keys: sessionKeys(namespace), idleMs: 60_000, absoluteMs: 600_000 })
  const attempts = createRateLimit(redis, {
    keys: rateLimitKeys(namespace, 'sign-in', 'state'),
    limit: { count: limitCount, periodMs: 60 * 60_000 },
    onUnavailable: 'closed',
    deadlineMs: 9_000,
  })
  const account = { id: randomUUID(), role: 'customer' } as Account
  const world = { sessions, account, whileJudged }
  const accounts = {
    find: async () => account,
    isOwner: async (_account: Account, guess: string) => {
      await world.whileJudged?.()
      return guess === password
    },
  } as unknown as Accounts
  const { signIn } = createSignIn({ accounts, sessions, attempts })
  const attempt = (guess = password) => signIn({ email: 'ada@example.com', password: guess }, 'test')
  return Object.assign(world, { attempt })
}

it('a sign-in during which all sessions of the account are ended is refused, and can be tried again', async () => {
  const world = await setUp({ limitCount: 10 })
  world.whileJudged = () => world.sessions.revokeAll(world.account.id).then(() => undefined)
  await expect(world.attempt()).rejects.toMatchObject({ kind: 'conflict', code: 'sessions-revoked' })
  world.whileJudged = undefined
  expect((await world.attempt()).session.userId).toBe(world.account.id)
})

it('only a wrong password uses up an attempt: not a right one, a conflict, or a failure', async () => {
  const world = await setUp({ limitCount: 1 })
  for (let i = 0; i < 3; i++) await world.attempt()
  world.whileJudged = () => world.sessions.revokeAll(world.account.id).then(() => undefined)
  for (let i = 0; i < 3; i++) await expect(world.attempt()).rejects.toMatchObject({ code: 'sessions-revoked' })
  world.whileJudged = () => Promise.reject(new Error('no database'))
  for (let i = 0; i < 3; i++) await expect(world.attempt('wrong')).rejects.toThrow('no database')
  world.whileJudged = undefined
  await expect(world.attempt('wrong')).rejects.toMatchObject({ code: 'credentials-wrong' })
  await expect(world.attempt()).rejects.toMatchObject({ code: 'too-many-sign-ins' })
})

it('right and wrong passwords at the same time leave exactly the wrong ones charged', async () => {
  const world = await setUp({ limitCount: 10 })
  const guesses = Array.from({ length: 10 }, (_, i) => world.attempt(i % 2 === 0 ? password : 'wrong'))
  const outcomes = await Promise.allSettled(guesses)
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(5)
  for (let i = 0; i < 5; i++) await expect(world.attempt('wrong')).rejects.toMatchObject({ code: 'credentials-wrong' })
  await expect(world.attempt('wrong')).rejects.toMatchObject({ code: 'too-many-sign-ins' })
})
