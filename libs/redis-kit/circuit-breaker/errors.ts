/** Refused without trying: the dependency has been failing. Worth a fallback, not a retry. */
export class BreakerOpen extends Error {
  override name = 'BreakerOpen'
  code = 'BREAKER_OPEN'
  /** When the breaker may let a call through again; a bound, not a promise. */
  readonly retryAfterMs: number

  constructor(breaker: string, retryAfterMs: number) {
    super(`${breaker} is not called now: its recent calls failed`)
    this.retryAfterMs = Math.ceil(retryAfterMs)
  }
}

/** The work did not end within the breaker's deadline; its signal is aborted. Whether it had an effect is unknown. */
export class BreakerTimeout extends Error {
  override name = 'BreakerTimeout'
  code = 'BREAKER_TIMEOUT'

  constructor(breaker: string, timeoutMs: number) {
    super(`${breaker} did not answer within ${timeoutMs} ms`)
  }
}
