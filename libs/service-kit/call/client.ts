/**
 * One service calls another: an instance is chosen by the balancer, the answer comes within a deadline, and what may safely be
 * tried again is tried again elsewhere.
 *
 *     const services = createServiceClient({ directory })
 *     const quote = await services.request({ service: 'catalog', path: '/api/products/quote?sku=TEA-1', headers })
 *     if (quote.status === 200) return parseQuote(JSON.parse(quote.body.toString()))
 *
 * Tried again: anything that certainly was not sent (nothing listens there), and, if `idempotent`, what was lost on the way or
 * answered with 502, 503 or 504. Within the deadline, under a retry budget per service, on an instance not tried before.
 *
 * An answer that says `x-retry: later` (see errors.ts), and silence, may have a cause that is behind every instance, such as a database
 * that is away. They are tried again only on an instance that has done neither within the last seconds.
 *
 * What is kept for one service (calls under way, connections, retries) is kept apart from the others: a service that hangs takes
 * nothing from the rest.
 */
import { Readable } from 'node:stream'
import type { Instance } from '@shop/redis-kit/discovery'
import { type Balancer, type BalancerOptions, createBalancer } from '@shop/redis-kit/discovery/balancer'
import { createSlots } from '@shop/redis-kit/flow/slots'
import { checkNumbers } from '@shop/redis-kit/number-options'
import { createRetryBudget } from '@shop/redis-kit/retry'
import { type CallSettings, callWithRetries, type Peer } from './client-call.ts'
import { ServiceUnavailable } from './client-errors.ts'
import { type ConnectionOptions, createConnections } from './dispatch.ts'
import type { ServiceRequest, ServiceResponse } from './request.ts'

export { isGatewayFailure, ServiceUnavailable, type UnavailableReason } from './client-errors.ts'
export type { ServiceRequest, ServiceResponse } from './request.ts'

export interface ServiceClientOptions extends ConnectionOptions {
  /** Who is there; a directory of redis-kit. */
  directory: { instances(service: string): readonly Instance[] }
  balancer?: BalancerOptions
  /** Attempts per request, the first included. @default 3 */
  attempts?: number
  /** One attempt waits for the head of an answer at most this share of the deadline, if it may be tried again. @default 0.5 */
  attemptRatio?: number
  /** Of a buffered body. @default 1 MiB */
  maxBodyBytes?: number
  /** Requests under way to one service, a streamed answer up to its head; more are refused. @default 1000 */
  maxInFlightCount?: number
  /** Connections to one instance for what streams, apart from the others: it may hold them for hours. @default 1000 */
  streamConnectionCount?: number
  /** Retries per request, over time. @default 0.2 */
  retryRatio?: number
  /** Retries that may follow each other after a quiet time. @default connectionCount: what may be under way to an instance that dies */
  retryBurstCount?: number
  /** Gets each request without an answer: for a counter. */
  onUnavailable?: (error: ServiceUnavailable) => void
}

export interface ServiceClient {
  /**
   * Answers with whatever status the service gave; a 503 too, when nobody gave a better answer.
   * Throws ServiceUnavailable when there was no answer, and the signal's reason when that ended it.
   */
  request(request: ServiceRequest & { stream: true }): Promise<ServiceResponse<Readable>>
  request(request: ServiceRequest & { stream: 'large' }): Promise<ServiceResponse<Buffer | Readable>>
  request(request: ServiceRequest & { stream?: false }): Promise<ServiceResponse>
  /** What the balancer thinks of a service's instances: that of ordinary calls, or that of what streams. */
  inspect(service: string, what?: 'calls' | 'streams'): ReturnType<Balancer['inspect']>
  /** Lets running requests finish for `patienceMs`, then ends them. @default 5000 */
  close(patienceMs?: number): Promise<void>
}

export function createServiceClient(options: ServiceClientOptions): ServiceClient {
  const whole = { min: 1, isWhole: true }
  checkNumbers('service client', options, {
    attempts: whole,
    attemptRatio: { min: 0, max: 1 },
    maxBodyBytes: { min: 0 },
    maxInFlightCount: whole,
    streamConnectionCount: whole,
    retryRatio: { min: 0 },
    retryBurstCount: { min: 0 },
  })
  const settings: CallSettings = {
    attempts: 3,
    attemptRatio: 0.5,
    maxBodyBytes: 1_048_576,
    ...options,
  }
  const calls = createLine(options)
  // What streams may hold its connection for hours, and the instance that has most streams is not the slowest to answer: both apart.
  const streams = createLine({
    ...options,
    connectionCount: options.streamConnectionCount ?? 1_000,
    balancer: { ...options.balancer, maxCallMs: Number.POSITIVE_INFINITY },
  })
  return { request: request as ServiceClient['request'], inspect, close }

  async function request(given: ServiceRequest): Promise<ServiceResponse<Buffer | Readable>> {
    try {
      return await requestWithin(given)
    } catch (error) {
      if (error instanceof ServiceUnavailable) options.onUnavailable?.(error)
      throw error
    }
  }

  async function requestWithin(given: ServiceRequest): Promise<ServiceResponse<Buffer | Readable>> {
    const { peerOf, connections, slots } = given.stream || given.body instanceof Readable ? streams : calls
    const peer = peerOf(given.service)
    const leave = slots.take(given.service)
    if (!leave) throw new ServiceUnavailable(given.service, 'overloaded')
    try {
      return await callWithRetries({ peer, connections, settings }, given)
    } finally {
      leave()
    }
  }

  function inspect(service: string, what: 'calls' | 'streams' = 'calls') {
    return (what === 'calls' ? calls : streams).peerOf(service).balancer.inspect()
  }

  async function close(patienceMs = 5_000) {
    const all = [calls.connections, streams.connections]
    const timer = setTimeout(() => all.map((connections) => connections.destroy()), patienceMs)
    await Promise.all(all.map((connections) => connections.close()))
    clearTimeout(timer)
  }
}

/** Connections to all instances, and what is remembered of each service. */
function createLine(options: ServiceClientOptions) {
  const {
    directory,
    maxInFlightCount = 1_000,
    retryRatio = 0.2,
    retryBurstCount = options.connectionCount ?? 64,
  } = options
  const peers = new Map<string, Peer>()
  return { connections: createConnections(options), slots: createSlots(maxInFlightCount), peerOf }

  function peerOf(service: string): Peer {
    let peer = peers.get(service)
    if (!peer) {
      directory.instances(service) // throws for a service that nobody knows, before it is remembered
      const instances = () => directory.instances(service)
      peer = {
        instances,
        balancer: createBalancer({ instances }, options.balancer),
        budget: createRetryBudget({ ratio: retryRatio, burstCount: retryBurstCount }),
        hopelessUntilMs: new WeakMap(),
      }
      peers.set(service, peer)
    }
    return peer
  }
}
