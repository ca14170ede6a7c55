/**
 * One call with all its attempts: choose an instance, exchange with it, judge the outcome, try again where that is safe.
 */
import { addAbortSignal, Readable } from 'node:stream'
import type { Instance } from '@shop/redis-kit/discovery'
import type { Balancer, Outcome, Pick } from '@shop/redis-kit/discovery/balancer'
import { DeadlineExceeded, type RetryBudget, retry } from '@shop/redis-kit/retry'
import { retryHeader } from '../http/errors.ts'
import { isGatewayFailure, ServiceUnavailable, type UnavailableReason } from './client-errors.ts'
import { type Delivery, ResponseTooLarge } from './delivery.ts'
import { type Connections, ExchangeFailed, HeadTimeout, type SendOptions } from './dispatch.ts'
import type { ServiceRequest, ServiceResponse } from './request.ts'

/** What is remembered of a service between calls. */
export interface Peer {
  instances: () => readonly Instance[]
  balancer: Balancer
  budget: RetryBudget
  /** Instances that have said "later", or nothing, a moment ago: not worth a second attempt until then. */
  hopelessUntilMs: WeakMap<Instance, number>
}

/** Longer than an ejected instance is left alone at first, so that a fault of all is not forgotten between two calls. */
const hopelessMs = 3_000

export interface CallSettings {
  attempts: number
  attemptRatio: number
  maxBodyBytes: number
}

const deliveries = new Map<ServiceRequest['stream'], Delivery>([
  [true, 'streamed'],
  ['large', 'by-size'],
])

/** An answer that another instance may do better than. */
class PoorAnswer extends Error {
  readonly response: ServiceResponse<Buffer | Readable>

  get saysLater() {
    return this.response.headers[retryHeader] === 'later'
  }

  constructor(response: ServiceResponse<Buffer | Readable>) {
    super(`${response.instanceId} answered ${response.status}`)
    this.response = response
  }
}

interface Calling {
  peer: Peer
  connections: Connections
  settings: CallSettings
}

/** One request through all its attempts. */
interface Journey extends Calling {
  request: ServiceRequest & { method: string; deadlineMs: number }
  isIdempotent: boolean
  /** Ids of the instances tried so far. */
  tried: Set<string>
  wasSent: boolean
}

export async function callWithRetries({ peer, connections, settings }: Calling, given: ServiceRequest) {
  const request = { method: 'GET', deadlineMs: 2_000, ...given }
  const isRepeatable = !(request.body instanceof Readable)
  const isIdempotent = isRepeatable && (request.idempotent ?? isSafe(request.method))
  const journey: Journey = { request, peer, connections, settings, isIdempotent, tried: new Set(), wasSent: false }
  try {
    return await (isRepeatable ? callUntilAnswered(journey) : callWithStream(journey))
  } catch (error) {
    if (error instanceof PoorAnswer) return error.response
    throw request.signal?.aborted && error === request.signal.reason ? error : unavailable(journey, error)
  }
}

function callUntilAnswered(journey: Journey) {
  const { request, peer, settings, isIdempotent } = journey
  return retry((attempt, signal) => callOnce(journey, { attempt, signal }), {
    attempts: settings.attempts,
    baseMs: 10,
    capMs: 100,
    deadlineMs: request.deadlineMs,
    signal: request.signal,
    budget: peer.budget,
    isRetryable: (error) => wasNotSent(error) || (isIdempotent && isWorthAnother(error) && hasHope(journey, error)),
  })
}

/** A streamed body has no known length: its deadline starts anew with every piece sent. One attempt, because it can be read once. */
async function callWithStream(journey: Journey) {
  const { request } = journey
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(new DeadlineExceeded(request.deadlineMs)), request.deadlineMs)
  const signal = request.signal ? AbortSignal.any([request.signal, silence.signal]) : silence.signal
  try {
    return await callOnce(journey, { attempt: 1, signal, onBodySent: () => timer.refresh() })
  } finally {
    clearTimeout(timer)
  }
}

interface Attempt {
  /** Counted from 1. */
  attempt: number
  signal: AbortSignal
  onBodySent?: () => void
}

async function callOnce(journey: Journey, { attempt, signal, onBodySent }: Attempt) {
  const { request, peer, connections, tried } = journey
  const pick = peer.balancer.pick(notWorthTrying(journey)) ?? peer.balancer.pick(tried) ?? peer.balancer.pick()
  if (!pick) throw new ServiceUnavailable(request.service, 'no-instance')
  tried.add(pick.instance.id)
  try {
    const options = { ...sendOptions(journey, pick, signal), onBodySent }
    const response = await connections.send(originOf(pick.instance), request, options)
    const isPoor = isGatewayFailure(response.status)
    whenEnded(response.body, request.signal, () => pick.done(isPoor ? 'failed' : 'ok'))
    const body = request.stream === true ? toStream(response.body) : response.body
    const answer = { ...response, body, instanceId: pick.instance.id, attemptCount: attempt }
    if (isPoor && journey.isIdempotent) throw new PoorAnswer(answer)
    return answer
  } catch (error) {
    pick.done(outcomeOf(error, request.signal)) // nothing, if it is done already
    if (maySpeakForAll(error)) peer.hopelessUntilMs.set(pick.instance, performance.now() + hopelessMs)
    throw error
  }
}

function sendOptions(journey: Journey, pick: Pick, signal: AbortSignal): SendOptions {
  const { request, settings, isIdempotent } = journey
  return {
    delivery: deliveries.get(request.stream),
    maxBodyBytes: settings.maxBodyBytes,
    isAlwaysBuffered: isIdempotent ? isGatewayFailure : undefined,
    headTimeoutMs: isIdempotent ? request.deadlineMs * settings.attemptRatio : undefined,
    idleTimeoutMs: request.idleTimeoutMs ?? 60_000,
    signal,
    onSend: () => {
      journey.wasSent = true
    },
    onHead: pick.responded,
  }
}

function originOf({ host, port }: Instance) {
  return host.includes(':') ? `http://[${host}]:${port}` : `http://${host}:${port}`
}

function toStream(body: Buffer | Readable) {
  return body instanceof Readable ? body : Readable.from(body)
}

/** A stream keeps its instance busy, and hears its caller's signal, until it has ended. */
function whenEnded(body: Buffer | Readable, signal: AbortSignal | undefined, done: () => void) {
  if (!(body instanceof Readable)) return done()
  body.once('close', done)
  if (signal) addAbortSignal(signal, body)
}

function outcomeOf(error: unknown, callerSignal: AbortSignal | undefined): Outcome {
  if (error instanceof ExchangeFailed) {
    if (error.cause instanceof ResponseTooLarge) return 'ok'
    return error.phase === 'receiving' || error.cause instanceof HeadTimeout ? 'failed' : 'unreachable'
  }
  return error instanceof DeadlineExceeded && !callerSignal?.aborted ? 'failed' : 'cancelled'
}

function wasNotSent(error: unknown) {
  return error instanceof ExchangeFailed && error.phase === 'connecting'
}

function isWorthAnother(error: unknown) {
  return error instanceof PoorAnswer || (error instanceof ExchangeFailed && !(error.cause instanceof ResponseTooLarge))
}

/** May the cause be one that every instance shares? */
function maySpeakForAll(error: unknown) {
  if (error instanceof PoorAnswer) return error.saysLater
  return error instanceof ExchangeFailed && error.cause instanceof HeadTimeout
}

function hasHope(journey: Journey, error: unknown) {
  if (!maySpeakForAll(error)) return true
  const hopeless = notWorthTrying(journey)
  return journey.peer.instances().some(({ id }) => !hopeless.has(id))
}

/** Before the first attempt none: an instance is not avoided for a fault that it shares with the others. */
function notWorthTrying({ peer, tried }: Journey): ReadonlySet<string> {
  if (tried.size === 0) return tried
  const nowMs = performance.now()
  const hopeless = peer.instances().filter((instance) => (peer.hopelessUntilMs.get(instance) ?? 0) > nowMs)
  return new Set([...tried, ...hopeless.map(({ id }) => id)])
}

function isSafe(method: string) {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/** What the caller of a service is told when no answer came. Mistakes of our own pass through as they are. */
function unavailable({ request: { service }, wasSent }: Journey, error: unknown) {
  if (error instanceof DeadlineExceeded) return new ServiceUnavailable(service, 'timed-out', { cause: error, wasSent })
  if (!(error instanceof ExchangeFailed)) return error
  return new ServiceUnavailable(service, reasonOf(error), { cause: error, wasSent })
}

function reasonOf({ phase, cause }: ExchangeFailed): UnavailableReason {
  if (cause instanceof ResponseTooLarge) return 'too-large'
  if (cause instanceof HeadTimeout) return 'timed-out'
  return phase === 'connecting' ? 'unreachable' : 'lost'
}
