/** LISTEN, as a hint and no more: whatever it misses is found by the next look. */

import type { Alarm } from '@shop/redis-kit/flow/alarm'
import { fullJitterMs } from '@shop/redis-kit/flow/backoff'
import { pause } from '@shop/redis-kit/flow/pause'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type pg from 'pg'

export interface ListenOptions {
  pool: pg.Pool
  channel: string
  alarm: Alarm
  signal: AbortSignal
  backoff: { baseMs: number; capMs: number }
  pulse?: Pulse
  log?: { warn(fields: object, text: string): void }
}

/** Keeps one connection listening until the signal aborts; connects again when it is lost, and rings then. */
export async function listen({ pool, channel, alarm, signal, backoff, pulse, log }: ListenOptions): Promise<void> {
  let failureCount = 0
  while (!signal.aborted) {
    try {
      const client = await pool.connect()
      const lost = lossOf(client, signal)
      try {
        client.on('notification', alarm.ring)
        await client.query(`LISTEN ${channel}`)
        failureCount = 0
        pulse?.ok('listen')
        alarm.ring() // something may have come while nobody listened
        await lost
      } finally {
        client.off('notification', alarm.ring)
        client.release(true) // a listening connection is of no use to others
      }
    } catch (error) {
      if (signal.aborted) return
      failureCount += 1
      pulse?.failed(error, 'listen')
      log?.warn({ err: error, failureCount }, 'outbox notifications lost; polling until they return')
      await pause(fullJitterMs(failureCount, backoff), signal)
    }
  }
}

/** Rejects when the connection is lost, resolves when the signal aborts. */
function lossOf(client: pg.PoolClient, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => resolve()
  client.on('error', reject)
  client.once('end', () => reject(new Error('the LISTEN connection was closed')))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) resolve()
  promise.catch(() => undefined).finally(() => signal.removeEventListener('abort', onAbort))
  return promise
}
