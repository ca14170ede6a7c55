/**
 * Where it is noted that an event was published. A key for each event would cost 180 bytes; here the events of a few milliseconds
 * share one, which costs 5 bytes an event where there are many. It takes ids that begin with their time, as UUIDv7 do
 * (`crypto.randomUUIDv7()`); any other id gets a key to itself: right as well, only not small.
 *
 * A mark is a part of the event's id and says only where to look: publish.lua notes with the marks of one call which entries it
 * has appended, and these have their ids in full.
 */

export interface Mark {
  /** Which note: the last part of its key. */
  time: string
  mark: string
}

const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/

export function markOf(eventId: string): Mark {
  if (!UUID_V7.test(eventId)) return { time: eventId, mark: '.' }
  // The first twelve digits are milliseconds. Eight of them together: of the last digit only the highest bit counts.
  const half = (eventId[12] as string) < '8' ? '0' : '8'
  return { time: eventId.slice(0, 12) + half, mark: toText(Number.parseInt(eventId.slice(-6), 16)) }
}

/**
 * 24 bits as four characters from `?` to `~`: none of those that begin a note, and many different ones, because a search halts at
 * each that is the first of what is searched. Among a thousand marks one in four thousand is found where it is not, and looked at.
 */
function toText(bits: number): string {
  return String.fromCharCode(63 + (bits >> 18), 63 + ((bits >> 12) & 63), 63 + ((bits >> 6) & 63), 63 + (bits & 63))
}
