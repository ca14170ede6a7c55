/**
 * How long to leave alone what has failed: doubled with each failure in a row, capped. Callers that failed together must not come
 * back together, so most take the random one.
 *
 * Source: "Exponential Backoff And Jitter" (AWS Architecture Blog), full jitter.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export interface BackoffOptions {
  /** Upper bound of the first pause. @default 25 */
  baseMs?: number
  /** Upper bound of any pause. @default 1000 */
  capMs?: number
}

/** Keeps the factor finite: after a thousand failures it would be Infinity, and its product with 0 is not a number. */
const MAX_DOUBLINGS = 52

/** The bound after failure n (from 1): min(cap, base * 2^(n-1)). */
export function doubledMs(failure: number, { baseMs = 25, capMs = 1_000 }: BackoffOptions): number {
  return Math.min(capMs, baseMs * 2 ** Math.min(failure - 1, MAX_DOUBLINGS))
}

/** The pause after failure n (from 1): uniform in [0, doubledMs). `random` is by default Math.random. */
export function fullJitterMs(
  failure: number,
  { random = Math.random, ...options }: BackoffOptions & { random?: () => number },
): number {
  return random() * doubledMs(failure, options)
}
