/**
 * A TCP proxy that breaks on command. It stands between a client and a real server, so that a test can produce what
 * networks do (a reset, a stall, a lost reply) at a moment of its choosing, with no mock on either side.
 *
 * It knows no protocol: bytes pass as they come, TLS and Postgres included.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createLink, type FaultCounters, type Faults, type Link } from './fault-link.ts'
import { isAddressInUse, pickPort } from './port.ts'

export interface FaultProxyTarget {
  /** @default 127.0.0.1 */
  host?: string
  port: number
}

export interface FaultProxy {
  /** `redis://127.0.0.1:port`, for a server without password. */
  readonly url: string
  readonly port: number
  /** The same URL (user, password, database, any scheme), by way of this proxy. */
  via(url: string): string
  /** Resets every open connection (RST) and answers how many. New ones are welcome. */
  cut(): number
  /** From now on each answer of the server arrives this much later. Order is kept. */
  delay(ms: number): void
  /** From now on answers of the server wait; the result lets them through, in order. */
  hold(): () => void
  /**
   * From now on nothing arrives on either side, on open connections and on new ones, which are accepted. At `heal`
   * the connections that lost something are reset: TCP never continues after a hole.
   */
  blackHole(): void
  /** As if the server had died: open connections are reset and new ones refused (ECONNREFUSED), until `heal`. */
  refuse(): Promise<void>
  /** Back to a plain proxy on the same port. */
  heal(): Promise<void>
  /**
   * The next packet (that contains `matching`, if given) reaches the server; its answer is dropped and the connection
   * reset: the client cannot know that it was executed. Resolves once that has happened. Other connections go on.
   */
  cutAfterNextRequest(matching?: string | RegExp): Promise<void>
  /** Counted since the start or the last `resetCounters`. */
  counters(): FaultCounters
  resetCounters(): void
  stop(): Promise<void>
}

export async function startFaultProxy(target: FaultProxyTarget): Promise<FaultProxy> {
  const links = new Set<Link>()
  const faults: Faults = { delayMs: 0, isBlackHole: false, trap: undefined }
  const counters = noCounts()
  const accept = (client: Socket) => {
    const link = createLink(
      client,
      { host: '127.0.0.1', ...target },
      { faults, counters, onClose: () => links.delete(link) },
    )
    counters.connectionCount++
    links.add(link)
  }
  const { port, server: first } = await listenSomewhere(accept)
  let server: Server | undefined = first

  function cut() {
    const count = links.size
    for (const link of links) link.reset()
    return count
  }
  async function refuse() {
    const closing = server
    server = undefined
    if (!closing) return
    const closed = new Promise((resolve) => closing.close(resolve))
    cut()
    await closed
  }
  function hold() {
    faults.delayMs = Number.POSITIVE_INFINITY
    return () => {
      faults.delayMs = 0
      for (const link of links) link.release()
    }
  }
  async function heal() {
    Object.assign(faults, { delayMs: 0, isBlackHole: false, trap: undefined })
    for (const link of links) link.release()
    for (const link of links) if (link.isBroken()) link.reset()
    server ??= await listen(accept, port)
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    via: (url) => redirect(url, port),
    cut,
    delay: (ms) => void Object.assign(faults, { delayMs: ms }),
    hold,
    blackHole: () => void Object.assign(faults, { isBlackHole: true }),
    refuse,
    heal,
    cutAfterNextRequest: (matching = '') =>
      new Promise((onSprung) => Object.assign(faults, { trap: { matching, onSprung } })),
    counters: () => ({ ...counters, openCount: links.size }),
    resetCounters: () => void Object.assign(counters, noCounts()),
    stop: refuse,
  }
}

async function listenSomewhere(accept: (client: Socket) => void): Promise<{ port: number; server: Server }> {
  for (;;) {
    const port = await pickPort()
    try {
      return { port, server: await listen(accept, port) }
    } catch (error) {
      if (!isAddressInUse(error)) throw error
    }
  }
}

function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
    server.once('error', reject)
    // `exclusive`: a vitest worker may be a cluster worker, which would share the port by default
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}

/** By text and not by `URL`, which knows no list of hosts and rewrites the escapes of schemes it does not know. */
function redirect(url: string, port: number): string {
  return url.replace(/^([a-z+]+:\/\/)([^/?#]*@)?[^/?#]*/i, `$1$2127.0.0.1:${port}`)
}

function noCounts(): FaultCounters {
  return {
    connectionCount: 0,
    openCount: 0,
    packetsToServer: 0,
    bytesToServer: 0,
    packetsToClient: 0,
    bytesToClient: 0,
  }
}
