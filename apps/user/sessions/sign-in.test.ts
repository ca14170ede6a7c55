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

it('a sign-in during which all sessions of the account are ended is refused, and can be tried again', async () => {
  const redis = connectRedis(server.url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 5_000)
  const namespace = server.namespace()
  const sessions = createSessions(redis, { keys: sessionKeys(namespace), idleMs: 60_000, absoluteMs: 600_000 })
  const limit = { count: 10, periodMs: 1_000 }
  const attempts = createRateLimit(redis, {
    keys: rateLimitKeys(namespace, 'sign-in', 'state'),
    limit,
    burst: 10,
    onUnavailable: 'closed',
  })
  const account = { id: randomUUID(), role: 'customer' } as Account
  let endsSessions = true
  const accounts = {
    find: async () => account,
    isOwner: async () => {
      if (endsSessions) await sessions.revokeAll(account.id)
      return true
    },
  } as unknown as Accounts
  const { signIn } = createSignIn({ accounts, sessions, attempts })
  const credentials = { email: 'ada@example.com', password: 'correct horse battery' }
  await expect(signIn(credentials, 'test')).rejects.toMatchObject({ kind: 'conflict', code: 'sessions-revoked' })
  endsSessions = false
  expect((await signIn(credentials, 'test')).session.userId).toBe(account.id)
})
