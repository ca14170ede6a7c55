/** The command as a reader types it: its pages name it, and this run is the one of CI. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Burst } from '@shop/redis-kit/rate-limit/lab'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { root } from './command-line/run.ts'

const server = await testRedis()
const node = join(root, 'node_modules/.bin/node')
const tool = join(root, 'tools/rate-limit-lab.ts')

function run(args: readonly string[], env: Record<string, string> = {}) {
  const options = { cwd: root, encoding: 'utf8', timeout: 120_000, env: { ...process.env, ...env } } as const
  return spawnSync(node, [tool, ...args], options)
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'rate-limit-lab-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('every experiment runs on a server of its own, and every decision is right', { timeout: 130_000 }, () => {
  const path = folder()
  const json = join(path, 'results/bursts.json')
  const { status, stdout, stderr } = run(['--json', json, '--svg', join(path, 'pictures')])
  expect(stderr).toContain('double: waiting for an edge of the window')
  expect(stdout).not.toContain('WRONG')
  expect(status).toBe(0)
  const bursts: Burst[] = JSON.parse(readFileSync(json, 'utf8'))
  expect(bursts.map(({ experiment, hasComeOut }) => ({ experiment, hasComeOut }))).toEqual([
    { experiment: 'edge', hasComeOut: true },
    { experiment: 'double', hasComeOut: true },
    { experiment: 'at-once', hasComeOut: true },
  ])
  expect(readdirSync(join(path, 'pictures')).toSorted()).toEqual(['at-once.svg', 'double.svg', 'edge.svg'])
})

test('it runs on a server of the caller, leaves no key there, and obeys FORCE_COLOR', {
  timeout: 130_000,
}, async () => {
  const { status, stdout } = run(['at-once', '--redis', server.url], { FORCE_COLOR: '1', NO_COLOR: '' })
  expect(status).toBe(0)
  expect(stdout).toContain('\x1b[')
  expect(await server.connect().scan(0, 'MATCH', 'lab:*', 'COUNT', 1_000_000)).toEqual(['0', []])
})

test.each([
  [['edges'], 'Unknown experiment "edges": choose from edge, double, at-once.'],
  [['--redis', 'localhost'], '--redis must be a URL like redis://localhost:6379, not "localhost".'],
  [['--rounds', '3'], 'Unknown option --rounds.'],
  [['--json'], '--json needs a value.'],
])('the mistake %j is said in one line', (args, sentence) => {
  const { status, stderr, stdout } = run(args)
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toBe(`${sentence}\nSee npm run rate-limit-lab -- --help\n`)
})

test('a server that is not there is named, without a stack', { timeout: 60_000 }, () => {
  const { status, stderr } = run(['at-once', '--redis', 'redis://127.0.0.1:1'])
  expect(status).toBe(1)
  expect(stderr).toMatch(/^Redis cannot be reached: .*127\.0\.0\.1:1\. Check --redis, or leave it out\.$/m)
  expect(stderr).not.toMatch(/^\s+at /m)
})

test('an interrupted run stops at once and leaves neither a server nor its folder', { timeout: 60_000 }, async () => {
  const temporary = folder()
  const child = spawn(node, [tool, 'double'], { cwd: root, env: { ...process.env, TMPDIR: temporary } })
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const started = new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk) => void (String(chunk).includes('of 200 requests') && resolve()))
  })
  await started
  expect(readdirSync(temporary)).toHaveLength(1)
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(readdirSync(temporary)).toEqual([])
})
