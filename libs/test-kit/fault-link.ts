/** One connection through the fault proxy: two sockets and the faults between them. */
import { createConnection, type Socket } from 'node:net'

export interface FaultCounters {
  /** Connections accepted so far, and those open now. */
  connectionCount: number
  openCount: number
  /** What clients sent and what the server answered. A packet is one read: writes of one tick arrive as one. */
  packetsToServer: number
  bytesToServer: number
  packetsToClient: number
  bytesToClient: number
}

/** Shared by all connections of a proxy and read for each packet, so that a fault hits open connections too. */
export interface Faults {
  /** Infinite while answers are held. */
  delayMs: number
  isBlackHole: boolean
  /** Waits for the next request; the connection that sends it loses the answer. */
  trap: { matching: string | RegExp; onSprung: () => void } | undefined
}

export interface Link {
  /** Closes both sides by RST. */
  reset(): void
  /** Lets answers through that were held. */
  release(): void
  /** Did bytes of it get lost? Then it cannot go on. */
  isBroken(): boolean
}

/** An answer may come in several packets, and answers to earlier requests before it: this long after the first, all are in. */
const ANSWER_WINDOW_MS = 20

export function createLink(
  client: Socket,
  target: { host: string; port: number },
  { faults, counters, onClose }: { faults: Faults; counters: FaultCounters; onClose: () => void },
): Link {
  const server = createConnection({ ...target, allowHalfOpen: true, noDelay: true })
  const toClient = createDelayLine(server, client)
  let isBroken = false
  let sprung: (() => void) | undefined

  client.on('data', (chunk: Buffer) => {
    counters.packetsToServer++
    counters.bytesToServer += chunk.length
    if (swallow()) return
    if (faults.trap && matches(chunk, faults.trap.matching)) {
      sprung = faults.trap.onSprung
      faults.trap = undefined
    }
    forward(chunk, client, server)
  })
  server.on('data', (chunk: Buffer) => {
    counters.packetsToClient++
    counters.bytesToClient += chunk.length
    if (swallow()) return
    if (sprung) loseAnswer(sprung)
    else toClient.push(chunk, faults.delayMs)
  })
  client.on('end', () => swallow() || server.end())
  server.on('end', () => swallow() || toClient.push(undefined, faults.delayMs))
  client.on('error', () => swallow() || reset())
  server.on('error', () => swallow() || reset())
  client.on('close', () => swallow() || close())

  /** In the hole even a farewell is lost: the other side is told nothing, until `heal` resets what is left. */
  function swallow(): boolean {
    if (faults.isBlackHole) isBroken = true
    return faults.isBlackHole || isBroken
  }
  function loseAnswer(announce: () => void) {
    isBroken = true // whatever else arrives is swallowed
    setTimeout(() => {
      reset()
      announce()
    }, ANSWER_WINDOW_MS)
  }
  function close() {
    server.destroy()
    onClose()
  }
  function reset() {
    toClient.clear()
    client.resetAndDestroy()
    server.resetAndDestroy()
    onClose()
  }
  return { reset, release: toClient.release, isBroken: () => isBroken }
}

/** Passes packets on after a delay. In order: a packet never overtakes one that was sent under a longer delay. */
function createDelayLine(from: Socket, to: Socket) {
  const queue: { chunk: Buffer | undefined; dueMs: number }[] = []
  let timer: NodeJS.Timeout | undefined

  function push(chunk: Buffer | undefined, delayMs: number) {
    const dueMs = Math.max(performance.now() + delayMs, queue.at(-1)?.dueMs ?? 0)
    if (queue.length === 0 && delayMs === 0) return deliver(chunk)
    queue.push({ chunk, dueMs })
    schedule()
  }
  function deliver(chunk: Buffer | undefined) {
    if (chunk === undefined) to.end()
    else forward(chunk, from, to)
  }
  function schedule() {
    const next = queue[0]
    if (timer || !next || next.dueMs === Number.POSITIVE_INFINITY) return
    timer = setTimeout(deliverDue, Math.max(0, next.dueMs - performance.now()))
  }
  function release() {
    for (const packet of queue) if (packet.dueMs === Number.POSITIVE_INFINITY) packet.dueMs = performance.now()
    schedule()
  }
  function deliverDue() {
    timer = undefined
    // A timer may fire a fraction early: what is due within this millisecond goes now.
    while (queue[0] && queue[0].dueMs <= performance.now() + 1) deliver(queue.shift()?.chunk)
    schedule()
  }
  function clear() {
    clearTimeout(timer)
    queue.length = 0
  }
  return { push, release, clear }
}

/** Writes, and stops reading while the other side is slower: a proxy must not hide back pressure. */
function forward(chunk: Buffer, from: Socket, to: Socket) {
  if (to.destroyed || to.write(chunk)) return
  from.pause()
  to.once('drain', () => from.resume())
}

function matches(chunk: Buffer, matching: string | RegExp): boolean {
  const text = chunk.toString('latin1')
  return typeof matching === 'string' ? text.includes(matching) : matching.test(text)
}
