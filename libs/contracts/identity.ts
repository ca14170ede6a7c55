/** Who a request is from: what the gateway vouches for, in a signed token inside the system only. */
import { type Static, Type } from 'typebox'

/** The header that carries the token. The gateway strips it from everything that comes from outside. */
export const identityHeader = 'x-shop-identity'

export const Role = Type.Union([Type.Literal('guest'), Type.Literal('customer'), Type.Literal('admin')])
export type Role = Static<typeof Role>

export const Identity = Type.Object({
  role: Role,
  /** The user's id; absent for a guest. */
  userId: Type.Optional(Type.String({ format: 'uuid' })),
  /** The session's handle (never its id); absent for a guest. */
  session: Type.Optional(Type.String()),
})
export type Identity = Static<typeof Identity>
