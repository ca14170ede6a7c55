/** When the demo is told to stop. */

/** Longer than the longest that stopping in order takes. */
const stopTimeoutMs = 60_000
/** Signals this close together are one Ctrl-C: from the terminal, and passed on by tools/bootstrap.mjs or npm, in any order. */
const sameStopMs = 500

/**
 * Aborted at the first signal to stop, and when the process that started this one is gone. A second Ctrl-C ends this process
 * at once, and what it started with it; other signals may come twice, from a terminal and from npm.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  let interruptedAtMs = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const isLater = performance.now() - interruptedAtMs > sameStopMs
      if (controller.signal.aborted && signal === 'SIGINT' && isLater) process.exit(130)
      interrupt()
    })
  }
  if (process.connected) {
    process.once('disconnect', interrupt)
    // The listener alone would keep a tool running that has nothing left to do.
    process.channel?.unref()
  }
  return controller.signal

  function interrupt() {
    if (controller.signal.aborted) return
    interruptedAtMs = performance.now()
    controller.abort()
    setTimeout(() => process.exit(1), stopTimeoutMs).unref()
  }
}
