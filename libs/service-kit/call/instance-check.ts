/**
 * Asks an instance itself whether it is there: what a directory does while the registry does not list it. Asked is the internal
 * port, whose answer names the instance, because an address may belong to another process by now.
 */
import type { Instance } from '@shop/redis-kit/discovery'

/** Nothing listens at the address, or the machine or container is gone. */
const goneCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH'])

/** An answer is about 100 bytes. Whatever else listens at the address may send without end. */
const maxAnswerBytes = 4096

/** false: nothing is there, another instance, or one that is stopping. Rejects when that is unclear, at the latest when the signal aborts. */
export async function answersAsItself({ id, host, internalPort }: Instance, signal: AbortSignal): Promise<boolean> {
  if (internalPort === undefined) throw new TypeError(`${id} has no internal port`)
  const authority = host.includes(':') ? `[${host}]:${internalPort}` : `${host}:${internalPort}`
  try {
    // No connection is kept: the next question is to find out whether a new one is accepted.
    const headers = { connection: 'close' }
    const response = await fetch(`http://${authority}/health/live`, { headers, signal, redirect: 'error' })
    const answer: { status?: unknown; instanceId?: unknown } = JSON.parse(await textOf(response))
    const { status, instanceId } = answer
    return status === 'live' && instanceId === id
  } catch (error) {
    if (goneCodes.has(causeCodeOf(error))) return false
    throw error
  }
}

/** Rejects, and closes the connection, when the answer is too large. */
async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let byteCount = 0
  for await (const chunk of body ?? []) {
    byteCount += chunk.byteLength
    if (byteCount > maxAnswerBytes) throw new Error(`the answer has more than ${maxAnswerBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function causeCodeOf(error: unknown): string {
  return String((error as { cause?: { code?: unknown } }).cause?.code)
}
