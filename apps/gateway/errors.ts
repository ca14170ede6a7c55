/** Every way in which the gateway itself says no. */
import { defineErrors } from '@shop/service-kit/errors'

export const errors = defineErrors({
  routeNotFound: ['not-found', 'route-not-found', 'There is nothing at this path'],
  originNotAllowed: ['forbidden', 'origin-not-allowed', 'Pages of other sites may not change anything here'],
  tooManyRequests: ['too-many', 'too-many-requests', 'Too many requests from this address; wait a little'],
  sessionsUnavailable: [
    'unavailable',
    'sessions-unavailable',
    'Who you are cannot be checked at the moment; you are still signed in, try again',
  ],
  serviceUnavailable: [
    'unavailable',
    'service-unavailable',
    (service: string) => `The ${service} service does not answer at the moment; try again`,
  ],
})
