/**
 * Ports for servers that tests start, many at the same time.
 *
 * Asking the system for port 0 and using the number afterwards is a race that parallel test workers lose now and then,
 * and it answers with ports that any outgoing connection may take a moment later. So: a random port below the
 * ephemeral range (Linux starts at 32768), tried once here; and whoever starts a server on it tries again with another
 * one when the bind fails all the same (`isAddressInUse`).
 *
 * A Redis Cluster node also listens on its port + 10000, which must not be anybody's first port: hence 11000-20999.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const FIRST_PORT = 11_000
const LAST_PORT = 20_999
const CLUSTER_BUS_OFFSET = 10_000
const MAX_TRIES = 100

/** Resolves to a port that nothing listens on right now, and whose cluster bus port is free as well. */
export async function pickPort(): Promise<number> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    if ((await isFree(port)) && (await isFree(port + CLUSTER_BUS_OFFSET))) return port
  }
  throw new Error(`no free port found between ${FIRST_PORT} and ${LAST_PORT} in ${MAX_TRIES} tries`)
}

/** Did a server refuse to start because somebody else has its port? Redis, Postgres and Node word it alike. */
export function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && /address already in use|EADDRINUSE/i.test(error.message)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
