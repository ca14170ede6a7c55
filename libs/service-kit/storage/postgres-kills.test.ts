import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { createRandom, integerOf, oneOf, type Random } from '@shop/test-kit/random'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { createClient } from './database.ts'
import type { Tally } from './postgres-kills.fixture.ts'

const server = await startPostgres({ durable: true })
afterAll(server.stop)

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const killCount = 10

/** A process that is busy with the database. `ours`: through this kit; `bare`: through what it is built on. */
async function startBusy(kind: 'ours' | 'bare', random: Random) {
  const file = new URL('./postgres-kills.fixture.ts', import.meta.url)
  const child = fork(file, [server.url, kind, String(integerOf(random, 1, 1e9))], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let complaint = ''
  child.stderr?.on('data', (piece) => {
    complaint += piece
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  await Promise.race([once(child, 'message'), exited])
  return { child, exited, complaint: () => complaint }
}

/** Ends all connections of a kind, and resolves when the server accepts new ones. */
const kills: Record<string, (random: Random) => Promise<void>> = {
  'the server by SIGKILL': async () => {
    await server.kill('SIGKILL')
    await server.restart()
  },
  'the server by SIGQUIT': async () => {
    await server.kill('SIGQUIT')
    await server.restart()
  },
  'one backend by SIGKILL': async (random) => {
    const pids = await query('SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1', ['busy%'])
    if (pids.length > 0) killBackend(oneOf(random, pids).pid as number)
    await accepting()
  },
  'all connections by the administrator': async () => {
    await query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1', ['busy%'])
  },
}

/** A backend may end between the question for its pid and the kill. */
function killBackend(pid: number) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Insists: a killed backend takes all others with it a moment later. */
async function query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const deadlineMs = Date.now() + 20_000
  while (true) {
    const client = createClient(server.url, { name: 'killer' })
    try {
      await client.connect()
      return (await client.query(sql, values)).rows
    } catch (error) {
      if (Date.now() > deadlineMs) throw error
      await sleep(50)
    } finally {
      await client.end()
    }
  }
}

const accepting = () => query('SELECT 1')

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

async function stopped(child: ChildProcess): Promise<Tally> {
  const answer = once(child, 'message')
  child.send('stop')
  const [{ tally }] = (await answer) as [{ tally: Tally }]
  return tally
}

test(`ten SIGKILLs of Postgres under load end no process, and each failure is an outage (SEED=${seed})`, {
  timeout: 180_000,
}, async () => {
  const random = createRandom(seed)
  const { child, exited } = await startBusy('ours', random)
  for (let count = 0; count < killCount; count++) {
    await sleep(integerOf(random, 20, 200))
    await kills['the server by SIGKILL']?.(random)
    await accepting()
    expect(isRunning(child)).toBe(true)
  }
  for (let count = 0; count < 3 * killCount; count++) {
    await sleep(integerOf(random, 0, 100))
    await kills[oneOf(random, Object.keys(kills))]?.(random)
    expect(isRunning(child)).toBe(true)
  }
  await accepting()
  const { doneCount, outageCount, others } = await stopped(child)
  expect(others).toEqual([])
  expect(Math.min(doneCount, outageCount)).toBeGreaterThan(killCount)
  expect(await exited).toBe(0)
})

test(`control: a bare pool with a listener for idle clients ends its process (SEED=${seed})`, {
  timeout: 60_000,
}, async () => {
  const random = createRandom(seed)
  const { child, exited, complaint } = await startBusy('bare', random)
  for (let count = 0; count < 3 * killCount && isRunning(child); count++) {
    await sleep(integerOf(random, 0, 100))
    await kills['all connections by the administrator']?.(random)
  }
  expect(await Promise.race([exited, sleep(20_000, 'still running')])).toBe(1)
  expect(complaint()).toContain('terminating connection due to administrator command')
})
