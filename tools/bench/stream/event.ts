/** The event that everybody publishes: 200 bytes altogether, with an id that begins with its time, as those of an outbox do. */
import { randomUUIDv7 } from 'node:crypto'
import type { TopicEvent } from '@shop/redis-kit/stream'

const eventBytes = 200
const type = 'order.placed'
const idBytes = 36
const body = `{"totalCents":4711,"note":""}`
const padding = 'x'.repeat(eventBytes - 2 * idBytes - type.length - body.length)
const paddedBody = body.replace('""', `"${padding}"`)

/** Its four parts, as the stream keeps them. */
export function makeEvent(): TopicEvent {
  const id = randomUUIDv7()
  return { id, key: id.replace('-', '_'), type, body: paddedBody }
}

export function fieldsOf({ id, key, type, body }: TopicEvent): string[] {
  return ['id', id, 'key', key, 'type', type, 'body', body]
}

/** The same parts where BullMQ has a place for them. */
export function makeJob() {
  const { id, key, type, body } = makeEvent()
  return { name: type, data: { key, body }, opts: { jobId: id } }
}
