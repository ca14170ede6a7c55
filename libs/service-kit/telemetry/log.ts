/**
 * One JSON line per event, with service, instance and (inside a request) requestId. What must never reach a log is removed here,
 * in one place, by three nets: values whose key is on the list, fields of errors that are not on a short list of harmless ones
 * (a Redis error carries the command with its arguments: passwords, session ids), and credentials inside any URL in the line.
 */
import pino from 'pino'
import { ShopError } from '../http/errors.ts'
import { isDependencyOutage } from '../storage/outage.ts'

export type Log = pino.Logger

export interface LogOptions {
  service: string
  instanceId: string
  /** @default 'info' */
  level?: string
  /** Where the lines go. @default standard output, asynchronously; see `flush` */
  destination?: pino.DestinationStream
}

const secretKeys = new Set([
  'authorization',
  'cookie',
  'cookies',
  'set-cookie',
  'password',
  'passwordhash',
  'passphrase',
  'secret',
  'session',
  'sessionid',
  'sid',
  'token',
  'x-shop-identity',
  'idempotency-key',
])
const removed = '[removed]'
const maxDepth = 6
/** The user info of any URL: redis://user:password@host, postgres://…, https://… */
const urlCredentials = /([a-z][a-z0-9+.-]*:\/\/)[^\s"'/@]*@/gi

/** A pino logger that writes JSON lines. Call `flush` before the process ends: lines are written asynchronously. */
export function createLog({ service, instanceId, level = 'info', destination }: LogOptions): Log {
  return pino(
    {
      level,
      base: { service, instance: instanceId },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }), log: (fields) => withoutSecrets(fields, 0) },
      hooks: { streamWrite: maskUrls },
    },
    destination ?? pino.destination({ fd: 1, sync: false }),
  )
}

/** Writes what is still buffered, synchronously. Never throws: there is nowhere left to say so. */
export function flushLog(log: Log): void {
  const stream = (log as unknown as Record<symbol, unknown>)[pino.symbols.streamSym as unknown as symbol] as {
    flushSync?: () => void
  }
  try {
    stream.flushSync?.()
  } catch {
    // the reader of our output is gone
  }
}

/**
 * The harmless fields of an error and of its causes. Messages may still hold a URL: those are masked in the finished line. A stack is for
 * finding bugs: neither the outage of a dependency has one nor an answer that a service gives on purpose.
 */
export function describeError(
  error: unknown,
  depth = 0,
  isOutage: boolean = isDependencyOutage(error),
): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  const { code, kind, cause, meta } = error as Error & { code?: unknown; kind?: unknown; meta?: unknown }
  return {
    type: error.constructor.name,
    message: error.message,
    ...(isPlain(code) && { code }),
    ...(isPlain(kind) && { kind }),
    ...(meta !== undefined && depth === 0 && { meta: withoutSecrets({ meta }, 0).meta }),
    ...(!isOutage && !(error instanceof ShopError) && { stack: error.stack }),
    ...(cause !== undefined && depth < 4 && { cause: describeError(cause, depth + 1, isOutage) }),
    ...(error instanceof AggregateError &&
      depth < 4 && { errors: error.errors.slice(0, 5).map((one) => describeError(one, depth + 1, isOutage)) }),
  }
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number'
}

/** The same object, or, when it holds a secret at any depth, a copy without. */
function withoutSecrets(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined
  for (const key in fields) {
    const value = fields[key]
    const clean = cleanValue(key, value, depth)
    if (clean === value) continue
    copy ??= { ...fields }
    copy[key] = clean
  }
  return copy ?? fields
}

function cleanValue(key: string, value: unknown, depth: number): unknown {
  if (value === undefined || value === null) return value
  if (isSecret(key)) return removed
  if (typeof value !== 'object') return value
  // Under any other name than `err`, whose serializer does this, an error would be written with all of its fields.
  if (value instanceof Error) return key === 'err' ? value : describeError(value)
  if (depth >= maxDepth) return '[too deep]'
  if (Array.isArray(value)) return cleanList(value, depth)
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return withoutSecrets(value as Record<string, unknown>, depth + 1)
}

/** The same few keys come again and again, so the lower-case form of each is looked at once. */
const judged = new Map<string, boolean>()

function isSecret(key: string): boolean {
  const known = judged.get(key)
  if (known !== undefined) return known
  const secret = secretKeys.has(key.toLowerCase())
  if (judged.size < 1_000) judged.set(key, secret)
  return secret
}

function cleanList(list: unknown[], depth: number): unknown[] {
  const clean = list.map((item) => cleanValue('', item, depth + 1))
  return clean.some((item, index) => item !== list[index]) ? clean : list
}

/** The text with `***` for the credentials in any URL. */
export function maskUrls(line: string): string {
  return line.includes('@') && line.includes('://') ? line.replace(urlCredentials, '$1***@') : line
}
