/** Every way in which the user service says no. */
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  emailTaken: [
    'conflict',
    'email-taken',
    'There is an account with this e-mail address already',
    { fields: [{ path: '/email', message: 'belongs to an account already', code: 'taken' }] },
  ],
  credentialsWrong: ['unauthenticated', 'credentials-wrong', 'E-mail address and password do not go together'],
  tooManySignIns: ['too-many', 'too-many-sign-ins', 'Too many attempts to sign in to this account; wait a little'],
  signInUnavailable: [
    'unavailable',
    'sign-in-unavailable',
    'Sign-in does not work at the moment; try again',
    { isShared: true },
  ],
  sessionsRevoked: [
    'conflict',
    'sessions-revoked',
    'All sessions of this account were ended while you signed in; sign in again',
  ],
  sessionNotFound: ['not-found', 'session-not-found', 'There is no such session of yours'],
  accountGone: ['unauthenticated', 'account-gone', 'This account does not exist any more'],
})
