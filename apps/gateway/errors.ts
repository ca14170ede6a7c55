/** Every way in which the gateway itself says no. */
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  routeNotFound: ['not-found', 'route-not-found', 'There is nothing at this path'],
  topicNotFound: ['not-found', 'topic-not-found', 'No service has a topic with this name'],
  originNotAllowed: ['forbidden', 'origin-not-allowed', 'Pages of other sites may not change anything here'],
  tooManyRequests: ['too-many', 'too-many-requests', 'Too many requests from this address; wait a little'],
  sessionsUnavailable: [
    'unavailable',
    'sessions-unavailable',
    'Who you are cannot be checked at the moment; you are still signed in, try again',
  ],
  streamsExhausted: ['unavailable', 'streams-exhausted', 'Too many streams are open here; try again in a moment'],
  tooManyStreams: ['too-many', 'too-many-streams', 'You have too many streams open; close one first'],
  uploadTooLarge: ['too-large', 'body-too-large', (maxBytes: number) => `The body is larger than ${maxBytes} bytes`],
  uploadStalled: ['invalid', 'upload-stalled', 'The body has stopped coming'],
  serviceUnavailable: [
    'unavailable',
    'service-unavailable',
    (service: string) => `The ${service} service does not answer at the moment; try again`,
  ],
})
