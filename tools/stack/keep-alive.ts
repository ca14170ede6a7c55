/** What dies in the demo is started again after a moment, as a container would be; what dies too often ends the demo. */

const restartDelayMs = 1_000
const maxRestartsPerMinute = 5

export interface Supervisor {
  report: (line: string) => void
  /** Called with the reason when something cannot be kept alive. */
  giveUp: (error: Error) => void
}

export interface KeepAlive {
  /** Tell it that the process is gone; `start` is called a moment later. */
  died(how: string, start: () => Promise<unknown>): void
  /** From now on deaths are wanted. */
  stop(): void
  isStopped(): boolean
}

export function keepAlive(name: string, { report, giveUp }: Supervisor): KeepAlive {
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let recentMs: number[] = []

  return { died, stop, isStopped: () => isStopped }

  function died(how: string, start: () => Promise<unknown>) {
    if (isStopped) return
    const nowMs = Date.now()
    recentMs = [...recentMs.filter((atMs) => atMs > nowMs - 60_000), nowMs]
    if (recentMs.length > maxRestartsPerMinute) {
      giveUp(new Error(`${name} died ${recentMs.length} times within a minute.`))
      return
    }
    report(`${name} died${how}; starting it again.`)
    timer = setTimeout(() => start().catch(giveUp), restartDelayMs)
  }

  function stop() {
    isStopped = true
    clearTimeout(timer)
  }
}
