/** A browser's EventSource, as far as tests need one: reads a stream of server-sent events and keeps what came. */
import type { OrderProgress } from '@shop/contracts/order'

export interface EventReader {
  status: number
  /** The data of the events so far. */
  events: OrderProgress[]
  /** All that came, comments and retry hints too. */
  text(): string
  /** `ended` by the server, or broken off. */
  over: Promise<'ended' | 'broken off'>
  close(): void
}

export async function readEvents(
  url: string,
  headers: Record<string, string>,
  lastEventId?: number,
): Promise<EventReader> {
  const closing = new AbortController()
  const response = await fetch(url, {
    signal: closing.signal,
    headers: { ...headers, ...(lastEventId !== undefined && { 'last-event-id': String(lastEventId) }) },
  })
  const events: OrderProgress[] = []
  let text = ''
  const over = read().then(
    () => 'ended' as const,
    () => 'broken off' as const,
  )
  return { status: response.status, events, text: () => text, over, close: () => closing.abort() }

  async function read() {
    let parsedLength = 0
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece
      const complete = text.lastIndexOf('\n\n') + 2
      events.push(...text.slice(parsedLength, complete).split('\n\n').flatMap(dataOf))
      parsedLength = complete
    }
  }
}

/** Throws when the id is not the one in the data. */
function dataOf(block: string): OrderProgress[] {
  const fields = new Map(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
  const data = fields.get('data')
  if (data === undefined) return []
  const progress = JSON.parse(data) as OrderProgress
  if (fields.get('event') !== 'order' || fields.get('id') !== String(progress.number))
    throw new Error(`unexpected: ${block}`)
  return [progress]
}
