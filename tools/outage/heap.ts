/** What a process holds on to: its heap after a collection, asked for by the inspector's protocol. */

interface Inspector {
  /** Bytes in use after everything was collected that nobody needs. */
  heapBytes(): Promise<number>
  close(): void
}

/** @param log what the process has written: with `--inspect` it begins with the address */
export async function openInspector(log: string): Promise<Inspector> {
  const address = /ws:\/\/\S+/.exec(log)?.[0]
  if (!address) throw new Error('the process was not started with --inspect')
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', () => reject(new Error(`${address} cannot be reached`)), { once: true })
  })
  let lastId = 0
  return { heapBytes, close: () => socket.close() }

  async function heapBytes() {
    await call('HeapProfiler.collectGarbage')
    const { usedSize } = (await call('Runtime.getHeapUsage')) as { usedSize: number }
    return usedSize
  }

  function call(method: string): Promise<unknown> {
    lastId += 1
    const id = lastId
    return new Promise((resolve) => {
      socket.addEventListener('message', function hear({ data }) {
        const answer = JSON.parse(String(data))
        if (answer.id !== id) return
        socket.removeEventListener('message', hear)
        resolve(answer.result)
      })
      socket.send(JSON.stringify({ id, method }))
    })
  }
}
