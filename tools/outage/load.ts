/**
 * Readers at a steady rate, from a process of their own: they come when they come, and do not wait for each other (an open model). So a
 * catalog that stalls has those to answer too who came meanwhile, and its stall is in their times. Over bare sockets: on a machine of few
 * cores, whoever makes the load takes the processor from whom it loads.
 */
import { connect, type Socket } from 'node:net'
import { createIdentityMinter, identityHeader } from '@shop/service-kit/identity'

export interface LoadOptions {
  port: number
  ratePerSecond: number
  skus: readonly string[]
  identityPrivateKey: string
}

/** What was answered in a quarter of a second, told to the parent at its end. */
export interface Moment {
  atMs: number
  latenciesMs: number[]
  /** Answers by their `x-cache`. */
  sources: Record<string, number>
  /** Reads that got no 200, with the reasons of some. */
  failedCount: number
  failures: string[]
}

const momentMs = 250
const tickMs = 2
/** Whoever finds all of them busy goes unanswered. */
const maxConnectionCount = 4_000

process.once('message', (options: LoadOptions) => generate(options))
process.once('disconnect', () => process.exit())

function generate({ port, ratePerSecond, skus, identityPrivateKey }: LoadOptions) {
  const mint = createIdentityMinter(identityPrivateKey)
  const connections = createConnections(port)
  const startedMs = performance.now()
  let cameCount = 0
  let moment = newMoment()
  setInterval(welcome, tickMs)
  setInterval(() => {
    process.send?.(moment)
    moment = newMoment()
  }, momentMs)

  /** A time begins when its reader should have come: that this process was late must not make it look shorter. */
  function welcome() {
    const dueCount = Math.floor(((performance.now() - startedMs) / 1_000) * ratePerSecond)
    const identity = `${identityHeader}: ${mint({ role: 'guest' })}`
    for (; cameCount < dueCount; cameCount++) {
      const cameMs = startedMs + (cameCount / ratePerSecond) * 1_000
      const path = `/api/products/${skus[cameCount % skus.length]}`
      connections.ask(`GET ${path} HTTP/1.1\r\nhost: catalog\r\n${identity}\r\n\r\n`, (answer) => count(cameMs, answer))
    }
  }

  function count(cameMs: number, { status, source }: Answer) {
    moment.latenciesMs.push(performance.now() - cameMs)
    moment.sources[source] = (moment.sources[source] ?? 0) + 1
    if (status === '200') return
    moment.failedCount += 1
    if (moment.failures.length < 3) moment.failures.push(status)
  }
}

function newMoment(): Moment {
  return { atMs: Date.now(), latenciesMs: [], sources: {}, failedCount: 0, failures: [] }
}

interface Answer {
  /** Of HTTP, or what went wrong instead. */
  status: string
  source: string
}
type Hear = (answer: Answer) => void

/** One request at a time on each; a new connection when all are busy. */
function createConnections(port: number) {
  const idle: ((request: string, hear: Hear) => void)[] = []
  let openCount = 0
  return { ask }

  function ask(request: string, hear: Hear) {
    const known = idle.pop()
    if (known) known(request, hear)
    else if (openCount < maxConnectionCount) open()(request, hear)
    else hear({ status: 'all connections are busy', source: 'none' })
  }

  function open() {
    openCount += 1
    const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let hear: Hear | undefined
    let missingBytes = 0
    let answer: Answer | undefined
    const send = (request: string, listener: Hear) => {
      hear = listener
      socket.write(request)
    }
    socket.on('error', (error: NodeJS.ErrnoException) => end({ status: String(error.code), source: 'none' }))
    socket.on('close', () => {
      openCount -= 1
      const at = idle.indexOf(send)
      if (at !== -1) idle.splice(at, 1)
      end({ status: 'closed', source: 'none' })
    })
    socket.on('data', (chunk: Buffer) => {
      if (!answer) {
        const head = headOf(chunk)
        answer = head
        missingBytes = head.bytes
      }
      missingBytes -= chunk.length
      if (missingBytes > 0) return
      end(answer)
      idle.push(send)
    })
    return send

    function end(heard: Answer) {
      const listener = hear
      hear = answer = undefined
      listener?.(heard)
    }
  }
}

/** The head is in the first packet. */
function headOf(chunk: Buffer): Answer & { bytes: number } {
  const end = chunk.indexOf('\r\n\r\n')
  const head = chunk.toString('latin1', 0, end)
  const [, status = 'not HTTP'] = /^HTTP\/1\.1 (\d+)/.exec(head) ?? []
  const [, source = 'none'] = /\r\nx-cache: (\S+)/i.exec(head) ?? []
  const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(head) ?? []
  return { status, source, bytes: end + 4 + Number(length) }
}
