import { afterEach, expect, it, vi } from 'vitest'
import { startUser } from './user.fixture.ts'

afterEach(() => vi.unstubAllEnvs())

it.each([
  { database: 'America/New_York', process: 'Asia/Kolkata' },
  { database: 'Asia/Kolkata', process: 'America/New_York' },
])('an account is made now, with a database in $database and a process in $process', async (zones) => {
  vi.stubEnv('TZ', zones.process)
  const user = await startUser({}, { databaseSettings: { timezone: zones.database } })
  const body = { email: 'ada@example.com', password: 'correct horse battery', name: 'Ada' }
  const registered = await user.ask('/api/users', { method: 'POST', body })
  expect(registered.statusCode).toBe(201)
  expect(Math.abs(Date.now() - Date.parse(registered.json().createdAt))).toBeLessThan(60_000)
  await user.stop()
})
