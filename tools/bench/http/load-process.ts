/**
 * Load for an HTTP server, from a process of its own: so many connections, a new request on each as soon as the last one was
 * answered. Bare sockets, because on a machine of few cores whoever makes the load takes the processor from whom it loads: of
 * CPU a request costs here 37 us, with undici 62, with autocannon 78 or more.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createHistogram } from 'node:perf_hooks'

export interface LoadTask {
  port: number
  paths: readonly string[]
  headers: Readonly<Record<string, string>>
  connectionCount: number
  /** Paths at random for so long; without it, each path once. */
  durationMs?: number
  /** Loads for so long before it counts; says `{ isCounting: true }` then. @default 0 */
  rampMs?: number
}

export interface LoadAnswer {
  count: number
  tookMs: number
  p50Us: number
  p99Us: number
}

process.once('disconnect', () => process.exit())
process.on('message', async (task: LoadTask) => process.send?.(await load(task)))
process.send?.({ ready: true })

async function load(task: LoadTask): Promise<LoadAnswer> {
  const { port, paths, headers, connectionCount, durationMs, rampMs = 0 } = task
  const requests = paths.map((path) => requestOf(path, headers))
  const sockets = await Promise.all(Array.from({ length: connectionCount }, () => open(port)))
  const latencies = createHistogram({ lowest: 1, highest: 60_000_000_000, figures: 3 })
  let startedMs = performance.now()
  let untilMs = durationMs === undefined ? Number.POSITIVE_INFINITY : startedMs + rampMs + durationMs
  let isCounting = rampMs === 0
  let count = 0
  let asked = 0
  const next = () => {
    if (durationMs !== undefined) return requests[(Math.random() * requests.length) | 0]
    return requests[asked++]
  }
  if (rampMs > 0) setTimeout(startCounting, rampMs)
  await Promise.all(
    sockets.map((socket) =>
      converse(socket, {
        next,
        onAnswer(askedMs, nowMs) {
          if (isCounting) {
            latencies.record(Math.max(1, Math.round((nowMs - askedMs) * 1e6)))
            count += 1
          }
          return nowMs < untilMs
        },
      }),
    ),
  )
  const tookMs = performance.now() - startedMs
  return { count, tookMs, p50Us: latencies.percentile(50) / 1000, p99Us: latencies.percentile(99) / 1000 }

  function startCounting() {
    startedMs = performance.now()
    untilMs = startedMs + (durationMs ?? 0)
    isCounting = true
    process.send?.({ isCounting })
  }
}

interface Conversation {
  next(): Buffer | undefined
  /** Says whether to go on. */
  onAnswer(askedMs: number, nowMs: number): boolean
}

/** Resolves when it is told to stop or has nothing more to ask; rejects for anything but 200 with a content-length. */
function converse(socket: Socket, { next, onAnswer }: Conversation): Promise<void> {
  return new Promise((resolve, reject) => {
    let askedMs = 0
    let missingBytes = 0
    function ask() {
      const request = next()
      if (!request) return finish()
      askedMs = performance.now()
      socket.write(request)
    }
    function finish(error?: Error) {
      socket.destroy()
      if (error) reject(error)
      else resolve()
    }
    socket.on('error', finish)
    socket.on('close', () => finish(new Error('the server closed the connection'))) // no effect once it is settled
    socket.on('data', (chunk: Buffer) => {
      if (missingBytes === 0) {
        const size = sizeOf(chunk)
        if (!size) return finish(new Error(`not an answer to count: ${chunk.toString('latin1', 0, 300)}`))
        missingBytes = size
      }
      missingBytes -= chunk.length
      if (missingBytes > 0) return
      missingBytes = 0
      if (onAnswer(askedMs, performance.now())) ask()
      else finish()
    })
    ask()
  })
}

/** Of head and body; the head is in the first packet. */
function sizeOf(chunk: Buffer): number | undefined {
  const headEnd = chunk.indexOf('\r\n\r\n')
  const head = chunk.toString('latin1', 0, headEnd)
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  return head.startsWith('HTTP/1.1 200') && length ? headEnd + 4 + Number(length) : undefined
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  return socket
}

function requestOf(path: string, headers: LoadTask['headers']): Buffer {
  const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
}
