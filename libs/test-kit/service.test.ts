import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { isAlive } from './fixtures/alive.ts'
import { startService } from './service.ts'

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'shop-services-'))
  write('echo', echo)
  write('broken', `console.error('missing: DATABASE_URL'); process.exit(2)`)
  write('silent', 'setInterval(() => {}, 1000)')
  return () => rmSync(root, { recursive: true })
})

const echo = `
import { createServer } from 'node:http'
const server = createServer((request, response) => response.end(JSON.stringify(process.env)))
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address()
  process.send({ type: 'starting' })
  process.send({ type: 'listening', service: 'echo', instanceId: 'echo-1', port })
})
if (!process.env.STUBBORN) process.on('SIGTERM', () => { console.log('leaving'); server.close(); process.disconnect() })
else process.on('SIGTERM', () => {})
`

function write(app: string, code: string) {
  mkdirSync(join(root, 'apps', app), { recursive: true })
  writeFileSync(join(root, 'apps', app, 'main.ts'), code)
}

test('a service is its own process, with the environment that it was given and no other', async () => {
  const service = await startService({ app: 'echo', root, env: { GREETING: 'hello' } })
  onTestFinished(async () => void (await service.stop()))
  expect(service.instanceId).toBe('echo-1')
  const env = (await (await fetch(service.url)).json()) as Record<string, string>
  expect(env.GREETING).toBe('hello')
  expect(env.VITEST).toBeUndefined()
})

test('stop asks it to leave and tells how it went', async () => {
  const service = await startService({ app: 'echo', root })
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect(service.log()).toContain('leaving')
  expect(isAlive(service.pid)).toBe(false)
})

test('stop kills one that does not leave in time', async () => {
  const service = await startService({ app: 'echo', root, env: { STUBBORN: '1' }, stopTimeoutMs: 300 })
  expect(await service.stop()).toEqual({ code: null, signal: 'SIGKILL' })
})

test('kill leaves it no time for anything', async () => {
  const service = await startService({ app: 'echo', root })
  await service.kill('SIGKILL')
  expect(await service.exited).toEqual({ code: null, signal: 'SIGKILL' })
  expect(service.log()).not.toContain('leaving')
})

test('one that does not start is an error with its log', async () => {
  await expect(startService({ app: 'broken', root })).rejects.toThrow('missing: DATABASE_URL')
  await expect(startService({ app: 'silent', root, startTimeoutMs: 500 })).rejects.toThrow('not ready within 500 ms')
  await expect(startService({ app: 'nobody', root })).rejects.toThrow('service not found')
})

test('a service whose parent is killed goes with it', async () => {
  const file = join(root, 'parent.ts')
  const service = join(import.meta.dirname, 'service.ts')
  writeFileSync(
    file,
    `import { startService } from ${JSON.stringify(service)}
     const { pid } = await startService({ app: 'echo', root: ${JSON.stringify(root)}, env: { STUBBORN: '1' } })
     process.stdout.write(String(pid))`,
  )
  const parent = spawn(process.execPath, [file])
  const [pid] = await once(parent.stdout, 'data')
  expect(isAlive(Number(pid))).toBe(true)
  parent.kill('SIGKILL')
  await expect.poll(() => isAlive(Number(pid)), { timeout: 10_000 }).toBe(false)
})
