/** What every service answers when it says no: application/problem+json (RFC 9457) with a stable code. */
import { type Static, Type } from 'typebox'

/** One field of a request that was refused. */
export const FieldError = Type.Object({
  /** A JSON Pointer (RFC 6901) into the body, or the name of a query, path or header field. */
  path: Type.String(),
  message: Type.String(),
  /** Stable: `required`, `unknown-field`, `type`, `minimum`, … */
  code: Type.String(),
})
export type FieldError = Static<typeof FieldError>

export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  /** Stable, kebab-case: what a client may branch on. */
  code: Type.String(),
  detail: Type.Optional(Type.String()),
  instance: Type.Optional(Type.String()),
  requestId: Type.Optional(Type.String()),
  errors: Type.Optional(Type.Array(FieldError)),
})
export type Problem = Static<typeof Problem>
