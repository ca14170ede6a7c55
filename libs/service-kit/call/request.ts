/** A call as its caller states it, and its answer: of one exchange with an instance, and of a service with all attempts. */
import type { Readable } from 'node:stream'

export type ResponseHeaders = Record<string, string | string[] | undefined>

export interface HttpRequest {
  method: string
  /** With its query. */
  path: string
  /** As they go out: hop-by-hop headers are the caller's to leave out. */
  headers?: ResponseHeaders
  /** A stream can be sent once only. */
  body?: string | Buffer | Readable
}

export interface HttpResponse<Body extends Buffer | Readable = Buffer> {
  status: number
  /** Names in lower case. */
  headers: ResponseHeaders
  /** A Readable must be read to its end or destroyed; until then it holds a connection. */
  body: Body
}

export interface ServiceRequest extends Partial<HttpRequest> {
  service: string
  path: string
  /** @default 'GET' */
  method?: string
  /** May it be executed twice? @default true for GET, HEAD and OPTIONS; say so of a request that carries an idempotency key */
  idempotent?: boolean
  /**
   * For everything together, up to the end of a buffered answer or the head of a streamed one. While the request's own body
   * streams, it starts anew with every piece that leaves. @default 2000
   */
  deadlineMs?: number
  /** true: `body` is a Readable at the first byte. 'large': a Readable unless it is small. @default false: a Buffer */
  stream?: boolean | 'large'
  /** Longest silence of a streamed answer. @default 60_000 */
  idleTimeoutMs?: number
  /** Ends it, a streamed body too. */
  signal?: AbortSignal
}

export interface ServiceResponse<Body extends Buffer | Readable = Buffer> extends HttpResponse<Body> {
  /** The instance that answered. */
  instanceId: string
  attemptCount: number
}
