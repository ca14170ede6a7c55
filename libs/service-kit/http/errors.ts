/**
 * How a service says no. An error has a kind (what sort of no), a code (stable, kebab-case: what a client may branch on), a
 * message for people and, when something else went wrong first, a cause that is logged and never sent.
 *
 * A service lists all of its own in one file:
 *
 *     export const errors = defineErrors({
 *       productNotFound: ['not-found', 'product-not-found', (sku: string) => `No product has the SKU ${sku}`],
 *       cartEmpty: ['conflict', 'cart-empty', 'The cart is empty'],
 *     })
 *     throw errors.productNotFound('TEA-1')
 *
 * Which status code a kind becomes is decided in problem.ts and nowhere else.
 */

import type { FieldError } from '@shop/contracts/problem'
import type { TSchema } from 'typebox'

/** What sort of no. `unknown` is the only one that is our fault and unexplained. */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'method-not-allowed'
  | 'conflict'
  | 'unprocessable'
  | 'too-large'
  | 'url-too-long'
  | 'unsupported-media-type'
  | 'too-many'
  | 'unavailable'
  | 'timed-out'
  | 'unknown'

/** `later` in a 502, 503 or 504: the cause is behind every instance, so another one is not worth a try now. See client.ts. */
export const retryHeader = 'x-retry'

export interface ShopErrorOptions {
  /** What went wrong first; logged for a 5xx, never sent. */
  cause?: unknown
  /** The fields that are to blame. */
  fields?: readonly FieldError[]
  /** When it makes sense to try again; becomes `Retry-After`. */
  retryAfterMs?: number
  /** The cause is behind every instance of this service, as a database that is away; becomes `x-retry: later`. @default false */
  isShared?: boolean
  /** Response headers that belong to this no, such as `allow`. */
  headers?: Readonly<Record<string, string>>
  /** Further members of the answer (RFC 9457 calls them extensions): what a client needs to go on from here. */
  extensions?: Readonly<Record<string, unknown>>
}

/** The one error class of the services. Throw it from anywhere: problem.ts turns it into the answer. */
export class ShopError extends Error {
  readonly kind: ErrorKind
  readonly code: string
  readonly fields: readonly FieldError[]
  readonly retryAfterMs: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly extensions: Readonly<Record<string, unknown>>

  constructor(kind: ErrorKind, code: string, message: string, options: ShopErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ShopError'
    this.kind = kind
    this.code = code
    this.fields = options.fields ?? []
    this.retryAfterMs = options.retryAfterMs
    this.headers = options.isShared ? { ...options.headers, [retryHeader]: 'later' } : (options.headers ?? {})
    this.extensions = options.extensions ?? {}
  }
}

interface DefinitionOptions extends ShopErrorOptions {
  /** The schema of its `extensions`, for the API description. */
  members?: TSchema
}

type Definition = readonly [
  kind: ErrorKind,
  code: string,
  // biome-ignore lint/suspicious/noExplicitAny: the parameters are whatever the message needs; `Maker` gives them back typed
  message: string | ((...args: any[]) => string),
  options?: DefinitionOptions,
]

/** What an error will be, known before it is made. */
export interface ErrorMaker {
  readonly kind: ErrorKind
  readonly code: string
  readonly members?: TSchema
}

type Maker<D extends Definition> = ErrorMaker &
  (D[2] extends (...args: infer Args) => string
    ? (...args: [...Args, options?: ShopErrorOptions]) => ShopError
    : (options?: ShopErrorOptions) => ShopError)

/**
 * One function per way of saying no. Each takes what its message takes and, last, optional `ShopErrorOptions`.
 * Throws at once when two definitions share a code.
 */
export function defineErrors<const Definitions extends Record<string, Definition>>(
  definitions: Definitions,
): { [Name in keyof Definitions]: Maker<Definitions[Name]> } {
  const codes = Object.values(definitions).map(([, code]) => code)
  const duplicate = codes.find((code, index) => codes.indexOf(code) !== index)
  if (duplicate !== undefined) throw new TypeError(`the error code ${duplicate} is defined twice`)
  const makers = Object.entries(definitions).map(([name, definition]) => [name, makerOf(definition)])
  return Object.fromEntries(makers)
}

function makerOf([kind, code, message, { members, ...defaults } = {}]: Definition) {
  // A message may leave out its optional parameters, so the options are known by not being among those it takes.
  const parameterCount = typeof message === 'string' ? 0 : message.length
  const make = (...args: unknown[]) => {
    const options = args.length > parameterCount ? (args.pop() as ShopErrorOptions) : undefined
    const text = typeof message === 'string' ? message : message(...args)
    return new ShopError(kind, code, text, { ...defaults, ...options })
  }
  return Object.assign(make, { kind, code, members })
}
