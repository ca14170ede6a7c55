/** Data that cannot be used: one sentence that says what to do, and nothing is left running. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { StackOptions } from '../options.ts'
import { loadSecrets } from '../secrets.ts'
import type { Undo } from '../stage.ts'
import { startDatabases } from './databases.ts'

vi.setConfig({ testTimeout: 120_000 })

const defaults: StackOptions = {
  ...{ port: 0, seed: false, productCount: 1, fresh: false, watch: false, json: true },
  dataDir: '',
}

function dataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'shop-data-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Starts the databases on the folder, and stops what came up. */
async function startOn(dir: string) {
  const undo: Undo = []
  const lines: string[] = []
  const supervisor = { report: (line: string) => void lines.push(line), onGivenUp: () => {}, restartLimit: 1 }
  const stage = {
    ...{ undo, supervisor, secrets: loadSecrets(dir), signal: new AbortController().signal },
    options: { ...defaults, dataDir: dir },
  }
  const failure = await startDatabases(stage).then(
    () => undefined,
    (error: Error) => error.message,
  )
  for (const step of undo.reverse()) await step()
  return { failure, left: processesOn(dir) }
}

/** Where a database runs as another user, its data may be elsewhere: the folder says where. */
function placesOf(dir: string): string[] {
  try {
    return [dir, readFileSync(join(dir, 'postgres/moved-to'), 'utf8').trim()]
  } catch {
    return [dir]
  }
}

function processesOn(dir: string): string[] {
  const commands = execFileSync('ps', ['-ww', '-eo', 'command='], { encoding: 'utf8' }).split('\n')
  return commands.filter((command) => placesOf(dir).some((place) => command.includes(place)))
}

function postgresFile(dir: string, name: string): string {
  const moved = placesOf(dir)[1]
  return join(moved ?? join(dir, 'postgres/cluster'), 'data', name)
}

function appendOnlyFile(dir: string): string {
  const folder = join(dir, 'redis-state/appendonlydir')
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.incr.aof')) ?? '')
}

test.each<[string, (dir: string) => void, RegExp]>([
  [
    'an append-only file that is not one',
    (dir) => writeFileSync(appendOnlyFile(dir), 'no command\r\n'.repeat(100)),
    /^redis-state cannot start on the data in \S+: Bad file format reading the append only file.*--fresh/s,
  ],
  [
    'a Postgres of another version',
    (dir) => writeFileSync(postgresFile(dir, 'PG_VERSION'), '14\n'),
    /^postgres cannot start on the data in \S+: database files are incompatible with server.*--fresh/s,
  ],
  [
    'a damaged control file',
    (dir) => writeFileSync(postgresFile(dir, 'global/pg_control'), 'x'),
    /^postgres cannot start on the data in \S+: .*--fresh/s,
  ],
  [
    'data that other users could read',
    (dir) => chmodSync(join(postgresFile(dir, '.'), '.'), 0o777),
    /^postgres cannot start on the data in \S+: .*invalid permissions.*--data DIR/s,
  ],
  [
    'a folder in the place of a file',
    (dir) => {
      rmSync(join(dir, 'redis-state/appendonlydir'), { recursive: true })
      writeFileSync(join(dir, 'redis-state/appendonlydir'), '')
    },
    /^redis-state cannot start on the data in \S+: /,
  ],
])('%s ends the start with a sentence, and the rest is stopped', async (_name, damage, sentence) => {
  const dir = dataDir()
  expect(await startOn(dir)).toEqual({ failure: undefined, left: [] })
  damage(dir)
  const { failure, left } = await startOn(dir)
  expect(failure).toMatch(sentence)
  expect(failure).not.toMatch(/\n/)
  expect(left).toEqual([])
})

test.each([
  ['no JSON', '{"redis":', 'it is not a JSON object'],
  ['a list', '[]', 'it is not a JSON object'],
  ['keys that are not a pair', undefined, 'identityPrivateKey and identityPublicKey are not a pair'],
])('a secrets.json with %s is said, without a secret', (_name, text, reason) => {
  const dir = dataDir()
  const secrets = loadSecrets(dir)
  const other = loadSecrets(dataDir())
  const content = text ?? JSON.stringify({ ...secrets, identityPublicKey: other.identityPublicKey })
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'secrets.json'), content)
  const start = () => loadSecrets(dir)
  expect(start).toThrow(`${join(dir, 'secrets.json')} is damaged: ${reason}.`)
  expect(start).toThrow('--fresh')
  expect(start).not.toThrow(secrets.identityPrivateKey)
})
