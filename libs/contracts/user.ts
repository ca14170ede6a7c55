/** Accounts and sign-in. */
import { type Static, Type } from 'typebox'
import { Role } from './identity.ts'

const email = Type.String({ format: 'email', minLength: 3, maxLength: 254 })
const name = Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' })
/** Length is what makes a password strong (NIST SP 800-63B); the cap bounds the cost of hashing. */
const password = Type.String({ minLength: 10, maxLength: 200 })

/** The same in both examples, so that the account of the first can sign in with the second. */
const exampleCredentials = { email: 'newcomer@example.com', password: 'ten-letters-or-more' }

export const User = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    email: Type.String(),
    name: Type.String(),
    role: Role,
    createdAt: Type.String({ format: 'date-time' }),
  },
  { description: 'The account' },
)
export type User = Static<typeof User>

export const Registration = Type.Object(
  { email, name, password },
  {
    additionalProperties: false,
    description: 'A new account',
    examples: [{ ...exampleCredentials, name: 'Sam Newcomer' }],
  },
)
export type Registration = Static<typeof Registration>

export const ProfilePatch = Type.Object(
  { name },
  {
    additionalProperties: false,
    description: 'The changed fields of the profile',
    examples: [{ name: 'Sam Regular' }],
  },
)
export type ProfilePatch = Static<typeof ProfilePatch>

/** A wrong password must not be told apart from one that could never be right, so only the size is checked here. */
export const Credentials = Type.Object(
  {
    email: Type.String({ minLength: 1, maxLength: 254 }),
    password: Type.String({ minLength: 1, maxLength: 200 }),
  },
  {
    additionalProperties: false,
    description: 'E-mail address and password of an account',
    examples: [exampleCredentials],
  },
)
export type Credentials = Static<typeof Credentials>

/** A signed-in device. `id` is a handle: it names the session and cannot be used to be it. */
export const SessionInfo = Type.Object(
  {
    id: Type.String(),
    device: Type.String(),
    current: Type.Boolean(),
    createdAt: Type.String({ format: 'date-time' }),
    expiresAt: Type.String({ format: 'date-time' }),
  },
  { description: 'A signed-in device' },
)
export type SessionInfo = Static<typeof SessionInfo>

export const SessionList = Type.Object(
  { items: Type.Array(SessionInfo) },
  { description: 'The signed-in devices of the account' },
)
export type SessionList = Static<typeof SessionList>

export const SignedIn = Type.Object(
  { user: User, session: SessionInfo },
  { description: 'Signed in: the answer sets the session cookie' },
)
export type SignedIn = Static<typeof SignedIn>
