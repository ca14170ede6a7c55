import { ShopError } from '../http/errors.ts'

/** Why there was no answer. The first three: certainly nothing was done there. */
export type UnavailableReason =
  /** Too many requests of this process are under way. */
  | 'overloaded'
  /** No instance is registered. */
  | 'no-instance'
  /** Nobody listens at any instance that was tried. */
  | 'unreachable'
  /** The connection broke before the answer was complete. */
  | 'lost'
  /** No answer within the deadline. */
  | 'timed-out'
  /** It answered that it cannot serve now, and so did every instance that was worth a try. */
  | 'failing'
  /** The answer is larger than maxBodyBytes. */
  | 'too-large'

/** The service cannot answer at the moment, says the instance, a proxy before it or the way to it. */
export const isGatewayFailure = (status: number) => status === 502 || status === 503 || status === 504

/** Another service did not answer. problem.ts makes a 503 of it, or a 504 of a time-out. */
export class ServiceUnavailable extends ShopError {
  readonly service: string
  readonly reason: UnavailableReason
  /** May it have been executed? */
  readonly wasSent: boolean

  constructor(
    service: string,
    reason: UnavailableReason,
    { cause, wasSent = false }: { cause?: unknown; wasSent?: boolean } = {},
  ) {
    const [kind, code] =
      reason === 'timed-out'
        ? (['timed-out', 'service-timed-out'] as const)
        : (['unavailable', 'service-unavailable'] as const)
    // The limit is this process's own; everything else is the same for all who call that service.
    const isShared = reason !== 'overloaded'
    super(kind, code, `The ${service} service did not answer (${reason})`, { cause, retryAfterMs: 1_000, isShared })
    this.name = 'ServiceUnavailable'
    this.service = service
    this.reason = reason
    this.wasSent = wasSent
  }
}
