/** What the kernel has taken reaches the server, even from a process that is killed in the next moment. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { testRedis } from '@shop/test-kit/redis'
import { expect, test } from 'vitest'

const servers = await testRedis()

/** Sets a key by a script and kills itself: as soon as the command was written, or as soon as it was sent. */
async function die(key: string, moment: 'written' | 'sent'): Promise<void> {
  const path = new URL('./written.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [path, servers.url, key, moment], { stdio: 'inherit' })
  const [, signal] = await once(child, 'exit')
  expect(signal).toBe('SIGKILL')
}

test('a script is executed when its process is killed at the moment it was written', async () => {
  const raw = servers.connect()
  const keys = Array.from({ length: 2 }, () => `${servers.namespace()}:written`)
  for (const key of keys) {
    await die(key, 'written')
    await expect.poll(() => raw.get(key)).toBe('1')
  }
})

test('it is not when the process is killed in the tick that sends it (negative control)', async () => {
  const raw = servers.connect()
  const key = `${servers.namespace()}:sent`
  await die(key, 'sent')
  await raw.ping()
  expect(await raw.get(key)).toBe('0')
})
