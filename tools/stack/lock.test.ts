import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identify, identifyByPs } from '@shop/test-kit/process-identity'
import { expect, onTestFinished, test } from 'vitest'
import { lockDataDir, lockFile } from './lock.ts'

function dataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'shop-lock-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function otherProcess(): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1e6)'])
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child as ChildProcess & { pid: number }
}

test('a folder is locked once, and free again after the release', () => {
  const dir = dataDir()
  const release = lockDataDir(dir)
  expect(() => lockDataDir(dir)).toThrow(`already runs on ${dir} (pid ${process.pid})`)
  release()
  expect(existsSync(join(dir, lockFile))).toBe(false)
  lockDataDir(dir)()
})

test('a living owner keeps its lock', async () => {
  const dir = dataDir()
  const { pid } = await otherProcess()
  writeFileSync(join(dir, lockFile), JSON.stringify(identify(pid)))
  expect(() => lockDataDir(dir)).toThrow(`(pid ${pid})`)
})

test.each([
  ['the pid of another program', (pid: number) => JSON.stringify({ pid, startedAt: 'another time', command: 'node' })],
  ['a bare pid', (pid: number) => `${pid}\n`],
  ['nothing', () => ''],
  ['half a line', () => '{"pid":1'],
])('a lock that holds %s does not stop a start', async (_what, content) => {
  const dir = dataDir()
  const { pid } = await otherProcess()
  writeFileSync(join(dir, lockFile), content(pid))
  const release = lockDataDir(dir)
  expect(JSON.parse(readFileSync(join(dir, lockFile), 'utf8')).pid).toBe(process.pid)
  release()
})

test('a process has an identity that no later process has, by /proc and by ps alike', async () => {
  const child = await otherProcess()
  const identity = identify(child.pid)
  expect(identity).toMatchObject({ pid: child.pid, command: expect.stringContaining(process.execPath) })
  expect(identify(child.pid)).toEqual(identity)
  expect(identify(process.pid)?.startedAt).not.toBe(identity?.startedAt)
  const byPs = identifyByPs(child.pid)
  expect(byPs?.command).toContain('setInterval')
  expect(identifyByPs(child.pid)).toEqual(byPs)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect([identify(child.pid), identifyByPs(child.pid), identify(0), identify(-1), identify(Number.NaN)]).toEqual(
    Array(5).fill(undefined),
  )
})
