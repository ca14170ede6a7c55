/** The comparing process's side of a contender's process. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Plan, Sample } from './suite.ts'

const START_TIMEOUT_MS = 120_000
const CLOSE_TIMEOUT_MS = 10_000

export interface ContenderAddress {
  suite: string
  table: string
  contender: string
}

export interface ContenderProcess {
  measure(plan: Plan): Promise<Sample>
  /** In order if it can; gone in any case. */
  stop(): Promise<void>
}

/** Resolves when the contender is ready to be measured. Rejects, with what it wrote, when it is not within two minutes. */
export async function startContender(
  address: ContenderAddress,
  { context, nodeArgs = [] }: { context: unknown; nodeArgs?: readonly string[] },
): Promise<ContenderProcess> {
  const name = Object.values(address).join('/')
  const args = [...Object.values(address), JSON.stringify(context)]
  const child = fork(join(import.meta.dirname, 'contender-process.ts'), args, {
    execArgv: [...nodeArgs],
    // A session of its own, as the servers have: Linux shares a busy machine between sessions, so nobody may have half of one.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const said = keepOutput(child)
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${name} ended (${signal ?? code}):\n${said()}`)
  })
  died.catch(() => {})
  try {
    await Promise.race([
      once(child, 'message'),
      died,
      after(START_TIMEOUT_MS, () => `${name} did not start:\n${said()}`),
    ])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }

  async function measure(plan: Plan): Promise<Sample> {
    const answer = once(child, 'message')
    child.send({ plan })
    const limit = after(plan.durationMs * 5 + 60_000, () => `${name} did not finish its round:\n${said()}`)
    const [message] = await Promise.race([answer, died, limit])
    return (message as { sample: Sample }).sample
  }
  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    const kill = setTimeout(() => child.kill('SIGKILL'), CLOSE_TIMEOUT_MS)
    child.send({ close: true }, () => {})
    await gone
    clearTimeout(kill)
  }
  return { measure, stop }
}

function keepOutput(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (chunk: string) => {
      text = (text + chunk).slice(-8_000)
    })
  }
  return () => text
}

/** Rejects when the time is over; holds nothing open. */
function after(timeoutMs: number, message: () => string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(message())), timeoutMs).unref()
  })
}
