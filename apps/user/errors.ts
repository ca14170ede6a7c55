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
  accountGone: ['unauthenticated', 'account-gone', 'This account no longer exists'],
})
