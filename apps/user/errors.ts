/** Every way in which the user service says no. */
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  emailTaken: [
    'conflict',
    'email-taken',
    'An account with this e-mail address already exists',
    { fields: [{ path: '/email', message: 'already belongs to an account', code: 'taken' }] },
  ],
  credentialsWrong: ['unauthenticated', 'credentials-wrong', 'The e-mail address or the password is wrong'],
  tooManySignIns: ['too-many', 'too-many-sign-ins', 'Too many sign-in attempts for this account; wait, then try again'],
  signInUnavailable: [
    'unavailable',
    'sign-in-unavailable',
    'Sign-in is not available now; try again',
    { isShared: true },
  ],
  sessionsRevoked: [
    'conflict',
    'sessions-revoked',
    'All sessions of this account were ended while you signed in; sign in again',
  ],
  sessionNotFound: ['not-found', 'session-not-found', 'You have no session with this id'],
  apiKeyNotFound: ['not-found', 'api-key-not-found', 'No API key has this id'],
  apiKeyEnded: ['conflict', 'api-key-ended', 'The API key was revoked or has expired; issue a new one'],
  tooManyApiKeys: [
    'conflict',
    'too-many-api-keys',
    (maxCount: number) => `There are ${maxCount} live API keys; revoke one first`,
  ],
  apiKeyExpired: [
    'unprocessable',
    'api-key-expired',
    'The API key would have expired already',
    { fields: [{ path: '/expiresAt', message: 'must be in the future', code: 'past' }] },
  ],
  expiryTooLate: [
    'unprocessable',
    'expiry-too-late',
    'The API key would expire after the year 9999',
    { fields: [{ path: '/expiresAt', message: 'must be before the year 10000', code: 'maximum' }] },
  ],
  quotaContradictory: [
    'unprocessable',
    'quota-contradictory',
    'The quota per day is smaller than the quota per minute',
    { fields: [{ path: '/quota/perDay', message: 'must not be smaller than perMinute', code: 'minimum' }] },
  ],
  accountGone: ['unauthenticated', 'account-gone', 'This account no longer exists'],
})
