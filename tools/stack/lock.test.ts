import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
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

test('one of three starts takes the lock of a dead owner over, in each of 400 tries', async () => {
  const [root, threadCount] = [dataDir(), 3]
  const dead = JSON.stringify({ pid: process.pid, startedAt: 'another time', command: 'node' })
  const dirs = Array.from({ length: 400 }, (_, index) => join(root, `${index}`))
  for (const dir of dirs) {
    mkdirSync(dir)
    writeFileSync(join(dir, lockFile), dead)
  }
  const shared = new SharedArrayBuffer(4 * (dirs.length + 1))
  const file = new URL('./lock-race.fixture.ts', import.meta.url)
  const workerData = { dirs, threadCount, shared }
  await Promise.all(Array.from({ length: threadCount }, () => once(new Worker(file, { workerData }), 'exit')))
  const [, ...lockCounts] = new Int32Array(shared)
  expect(new Set(lockCounts)).toEqual(new Set([1]))
  expect(new Set(dirs.flatMap((dir) => readdirSync(dir)))).toEqual(new Set([lockFile]))
})

test('a takeover that was interrupted does not stop a start', () => {
  const dir = dataDir()
  const dead = JSON.stringify({ pid: process.pid, startedAt: 'another time', command: 'node' })
  for (const name of [lockFile, `${lockFile}.takeover`]) writeFileSync(join(dir, name), dead)
  lockDataDir(dir)()
  expect(readdirSync(dir)).toEqual([])
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
