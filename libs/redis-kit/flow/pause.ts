/**
 * Resolves after `ms`, or as soon as the signal aborts. Never rejects: a loop looks at its signal when it goes on.
 * Leaves neither a timer nor a listener behind.
 */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end)

    function end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
  })
}
