/** One instance of a service, and its record in the registry. */

/** What callers need in order to talk to an instance. */
export interface Instance {
  /** Unique within the service; a restart may take it again. At most 128 of [A-Za-z0-9_.-]. */
  id: string
  service: string
  host: string
  port: number
  /** Where its metrics are. */
  internalPort?: number
  version?: string
  /** Share of the traffic relative to others. @default 1 */
  weight?: number
  zone?: string
  startedAtMs: number
}

const MAX_RECORD_BYTES = 4_096
const ID_FORM = /^[\w.-]{1,128}$/

/** Throws a TypeError for a record that could not be told apart or would not fit: the registering side finds out. */
export function encodeRecord(instance: Instance): string {
  const { id, host, port } = instance
  if (!ID_FORM.test(id))
    throw new TypeError(`instance id ${JSON.stringify(id)} must be 1 to 128 characters of A-Z a-z 0-9 _ . -`)
  if (!host || !isPort(port)) throw new TypeError(`${id}: ${host}:${port} is not a valid address`)
  const record = JSON.stringify(instance)
  if (Buffer.byteLength(record) > MAX_RECORD_BYTES)
    throw new TypeError(`${id}: the record must have at most ${MAX_RECORD_BYTES} bytes`)
  return record
}

/** Undefined for what is no record: somebody else's mistake must not stop us from seeing the others. */
export function decodeRecord(record: string): Instance | undefined {
  try {
    const instance = JSON.parse(record) as Instance
    const { id, service, host, internalPort = 1, weight = 1, startedAtMs } = instance
    const isSound =
      ID_FORM.test(id) &&
      typeof service === 'string' &&
      host !== '' &&
      typeof host === 'string' &&
      isPort(instance.port)
    return isSound && isPort(internalPort) && weight > 0 && Number.isFinite(weight) && Number.isFinite(startedAtMs)
      ? instance
      : undefined
  } catch {
    return undefined
  }
}

function isPort(port: unknown): boolean {
  return Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65_535
}
