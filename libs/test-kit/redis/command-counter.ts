/**
 * Counts the commands that a server executes. INFO counts what scripts run as well; MONITOR tells them apart, but it slows the
 * server down: use it to count, not where time is measured.
 *
 * MONITOR is read from a plain socket. A client library takes a monitor line for the answer to one of its own commands when
 * another client sends a command at that moment.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { command, encode } from './redis-wire.ts'

export interface CommandCounts {
  /** Sent by clients; a script is one command. Heartbeats (PING) are not counted. */
  sentCount: number
  /** Run by scripts. */
  scriptedCount: number
}

export interface CommandCounter {
  /** Counted since the start or the last `take`. Rejects when the server does not show its commands any more. */
  take(): Promise<CommandCounts>
  close(): void
}

const TIMEOUT_MS = 5_000
/** `+1795469826.068643 [0 127.0.0.1:40044] "get" "a"`; a command of a script has `lua` for an address. */
const MONITORED = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]*)"(?: "([^"]*)")?/
const noCounts = (): CommandCounts => ({ sentCount: 0, scriptedCount: 0 })

/** For a server on this machine, by its redis:// URL. */
export async function countCommands(url: string): Promise<CommandCounter> {
  const address = addressOf(url)
  const socket = connect({ host: '127.0.0.1', port: address.port })
  let counts = noCounts()
  let onMarker: ((marker: string) => void) | undefined
  socket.on('error', () => {}) // `take` tells
  await once(socket, 'connect')
  createInterface({ input: socket }).on('line', (line) => {
    const [, source, name = '', argument = ''] = MONITORED.exec(line) ?? []
    const lowerName = name.toLowerCase()
    if (source === undefined || lowerName === 'ping') return
    if (lowerName === 'echo' && argument.startsWith('marker ')) onMarker?.(argument)
    else if (source === 'lua') counts.scriptedCount++
    else counts.sentCount++
  })
  const { username = 'default', password } = address
  socket.write(`${password === undefined ? '' : encode(['AUTH', username, password])}${encode(['MONITOR'])}`)

  async function take(): Promise<CommandCounts> {
    const marker = `marker ${randomUUID()}`
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(
      () => reject(new Error(`MONITOR did not show an ECHO within ${TIMEOUT_MS} ms`)),
      TIMEOUT_MS,
    )
    onMarker = (shown) => shown === marker && resolve()
    try {
      // The server shows commands in the order in which it runs them: all earlier ones have been counted by then.
      await Promise.all([promise, command(address, 'ECHO', marker)])
    } finally {
      clearTimeout(timer)
    }
    const taken = counts
    counts = noCounts()
    return taken
  }

  await take() // MONITOR is in force when its own ECHO is shown
  return { take, close: () => void socket.destroy() }
}

function addressOf(url: string) {
  const { port, username, password } = new URL(url)
  return {
    port: Number(port),
    username: username || undefined,
    password: password ? decodeURIComponent(password) : undefined,
  }
}
