/** Signing in and out: who proves to own an account gets a session, and only as often as the limit allows. */
import { createHash } from 'node:crypto'
import type { Credentials } from '@shop/contracts/user'
import type { RateLimit } from '@shop/redis-kit/rate-limit'
import { type CreatedSession, type NewSession, SessionRevoked, type Sessions } from '@shop/redis-kit/session'
import type { Accounts } from '../accounts/accounts.ts'
import { normalEmail } from '../accounts/accounts.ts'
import type { Account } from '../accounts/store.ts'
import { errors } from '../errors.ts'

interface Dependencies {
  accounts: Accounts
  sessions: Sessions
  /** Counts attempts per account; must refuse while Redis is away, or it protects no account. */
  attempts: RateLimit
}

export interface SignInResult {
  account: Account
  /** Its `id` goes into the cookie and nowhere else. */
  session: CreatedSession
}

export function createSignIn({ accounts, sessions, attempts }: Dependencies) {
  return { signIn }

  /** A new session id for every sign-in: one that was known before (fixation) is worth nothing afterwards. */
  async function signIn(credentials: Credentials, device: string, previousId?: string): Promise<SignInResult> {
    const subject = subjectOf(credentials.email)
    const attempt = await attempts.check(subject)
    if (attempt.degraded) throw errors.signInUnavailable({ retryAfterMs: attempt.retryAfterMs })
    if (!attempt.allowed) throw errors.tooManySignIns({ retryAfterMs: attempt.retryAfterMs })
    let isWrongGuess = false
    try {
      const account = await accounts.find(credentials.email)
      // Asked before the password is looked at: sessions that are revoked from here on revoke this one too.
      const epoch = account && (await sessions.epoch(account.id))
      isWrongGuess = !(await accounts.isOwner(account, credentials.password))
      if (!account || isWrongGuess) throw errors.credentialsWrong()
      const fields = { role: account.role }
      return { account, session: await begin({ userId: account.id, fields, device, replaces: previousId, epoch }) }
    } finally {
      // Only wrong guesses use up attempts: neither a right password nor an outage slows its owner down.
      if (attempt.charge && !isWrongGuess) await attempts.refund(subject, attempt.charge)
    }
  }

  async function begin(session: NewSession): Promise<CreatedSession> {
    try {
      return await sessions.create(session)
    } catch (error) {
      throw error instanceof SessionRevoked ? errors.sessionsRevoked({ cause: error }) : error
    }
  }
}

export type SignIn = ReturnType<typeof createSignIn>

/** Addresses are personal data: keys hold a digest. */
function subjectOf(email: string): string {
  return createHash('sha256').update(normalEmail(email)).digest('base64url')
}
