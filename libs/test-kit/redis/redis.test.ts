import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { serverUrl } from '../test-servers.ts'
import { testRedis } from './redis.ts'
import { sweepNamespace } from './redis-namespace.ts'

/** A test runner within the test runner, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000 })

describe.each(['standalone', 'cluster'] as const)('on %s', async (topology) => {
  const redis = await testRedis({ topology })
  const connection = redis.connect()

  test('a test with a key that would stay for ever fails, and only that one', async () => {
    const results = await runFixture(topology)
    expect(results).toEqual({
      'keys with expiry pass': 'passed',
      'a key without expiry fails': expect.stringMatching(/keys without expiry: t[0-9a-f]{8}:forgotten/),
      'a key without expiry fails in a namespace taken by beforeEach': expect.stringContaining(':forgotten'),
      'a key that is declared immortal passes': 'passed',
      'a namespace of the file is swept after its last test': 'passed',
    })
  })

  test('sweeping deletes the keys of the namespace, wherever they are, and no others', async () => {
    const [mine, other] = [redis.namespace(), redis.namespace({ allowImmortal: () => true })]
    const keys = Array.from({ length: 2500 }, (_, index) => `${mine}:item:{${index}}`)
    await Promise.all(keys.map((key) => connection.set(key, 1, 'EX', 60)))
    await connection.hset(`${mine}:hash`, 'field', 1)
    await connection.set(`${other}:item`, 1)
    expect(await sweepNamespace(connection, mine, () => false)).toEqual([`${mine}:hash`])
    expect(await sweepNamespace(connection, mine, () => false)).toEqual([])
    expect(await connection.exists(`${other}:item`)).toBe(1)
  })
})

test('all files of a run share one server', async () => {
  const [one, two] = [await testRedis(), await testRedis()]
  expect(one.url).toBe(two.url)
  expect(one.namespace()).not.toBe(two.namespace())
})

/** Each test's name with 'passed' or its message. The fixture uses this run's servers, and leaves no key on them. */
async function runFixture(topology: string): Promise<Record<string, string>> {
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
  const config = join(import.meta.dirname, '../fixtures/vitest.config.ts')
  const env = {
    ...process.env,
    FIXTURE_TOPOLOGY: topology,
    REDIS_URL: await serverUrl('redis'),
    REDIS_CLUSTER_URL: topology === 'cluster' ? await serverUrl('cluster') : '',
  }
  const folder = mkdtempSync(join(tmpdir(), 'shop-report-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const report = join(folder, 'report.json')
  const args = [vitest, 'run', '--config', config, '--reporter=json', `--outputFile=${report}`]
  await new Promise<void>((resolve) => {
    execFile(process.execPath, args, { env, cwd: import.meta.dirname }, () => resolve())
  })
  const [file] = JSON.parse(readFileSync(report, 'utf8')).testResults as { assertionResults: TestResult[] }[]
  return Object.fromEntries(
    (file?.assertionResults ?? []).map(({ title, status, failureMessages }) => [title, failureMessages[0] ?? status]),
  )
}

interface TestResult {
  title: string
  status: string
  failureMessages: string[]
}
