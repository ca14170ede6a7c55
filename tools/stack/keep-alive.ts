/**
 * Keeps one process of the demo running, as a container's restart policy does.
 *
 * A process that dies is started again after a wait that doubles with each failure in a row; a start that fails counts like
 * a death. A process that ran for a while has recovered: the next wait is short again. After `restartLimit` failures in a row
 * the process is given up, and the other processes go on. A restart that was asked for and fails is not repeated: what failed is
 * mended first, and the next request starts it.
 */

const healthyAfterMs = 10_000
const firstWaitMs = 1_000
const longestWaitMs = 30_000

export interface Supervisor {
  report: (line: string) => void
  /** Called once with the reason when a process has failed too often in a row. */
  onGivenUp: (name: string, reason: string) => void
  /** How many failures in a row are borne. */
  restartLimit: number
  /** Of the waits, shorter in tests. @default 1 */
  waitScale?: number
}

export interface Running {
  /** Resolves to how it ended: "SIGKILL", "exit code 1". */
  exited: Promise<string>
}

/** What became of a restart that was asked for; `superseded` by the next one, or by the end of everything. */
export type Restarted = { status: 'running' } | { status: 'failed'; reason: string } | { status: 'superseded' }

export interface KeptAlive {
  /** From now on an end is expected, and nothing is started any more. */
  stop(): void
  /** The next end is expected: it does not count, and the process is started again at once. */
  expectEnd(): Promise<Restarted>
  /** Ends a wait and forgets earlier failures; a process that was given up is started again. */
  retry(): Promise<Restarted>
}

/** @param start resolves when the process works again, rejects when it does not come up */
export function keepAlive(
  name: string,
  first: Running,
  start: () => Promise<Running>,
  supervisor: Supervisor,
): KeptAlive {
  const { report, onGivenUp, restartLimit, waitScale = 1 } = supervisor
  let isStopped = false
  let isEndExpected = false
  let failureCount = 0
  let wake = () => {}
  /** Settles the restart that was asked for last. */
  let settleAsked: ((restarted: Restarted) => void) | undefined
  void keep(first)

  return { stop, expectEnd, retry }

  async function keep(running: Running) {
    for (;;) {
      const startedAtMs = performance.now()
      const how = await running.exited
      if (performance.now() - startedAtMs > healthyAfterMs * waitScale) failureCount = 0
      const next = await startAgain(`died (${how})`)
      if (next === undefined) return
      running = next
    }
  }

  /** Undefined when it is not to run any more. */
  async function startAgain(reason: string): Promise<Running | undefined> {
    for (let why = reason; !isStopped; ) {
      if (isEndExpected) isEndExpected = false
      else if (settleAsked === undefined) await waitAfterFailure(why)
      if (isStopped) return undefined
      try {
        const running = await start()
        // Up, but already told to end by the next restart: that one settles.
        if (!isEndExpected) settle({ status: 'running' })
        return running
      } catch (error) {
        const reason = (error as Error).message
        // Ended by the next restart before it was up: nothing has failed.
        if (isEndExpected) continue
        if (settle({ status: 'failed', reason })) await pause(undefined)
        else why = `did not restart: ${reason}`
      }
    }
    return undefined
  }

  async function waitAfterFailure(why: string) {
    failureCount += 1
    if (failureCount > restartLimit) {
      report(`${name} ${why}; it stays down after ${failureCount} failures in a row.`)
      onGivenUp(name, `${name} failed ${failureCount} times in a row`)
      return pause(undefined)
    }
    const waitMs = Math.min(firstWaitMs * 2 ** (failureCount - 1), longestWaitMs)
    report(`${name} ${why}; restarting it in ${waitMs / 1_000} s.`)
    await pause(waitMs * waitScale)
  }

  /** Until the time is over, if there is one, or until `wake`. */
  function pause(ms: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
    return promise
  }

  function stop() {
    isStopped = true
    settle({ status: 'superseded' })
    wake()
  }

  function expectEnd() {
    isEndExpected = true
    return asked()
  }

  function retry() {
    failureCount = 0
    const restarted = asked()
    wake()
    return restarted
  }

  function asked(): Promise<Restarted> {
    settle({ status: 'superseded' })
    const { promise, resolve } = Promise.withResolvers<Restarted>()
    settleAsked = resolve
    return promise
  }

  /** False when no restart was asked for. */
  function settle(restarted: Restarted): boolean {
    const isAsked = settleAsked !== undefined
    settleAsked?.(restarted)
    settleAsked = undefined
    return isAsked
  }
}
