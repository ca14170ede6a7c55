/** Every way in which the gateway itself says no. */
import { defineErrors } from '@shop/service-kit/http/errors'
import { Type } from 'typebox'

export const errors = defineErrors({
  routeNotFound: ['not-found', 'route-not-found', 'This path does not exist'],
  topicNotFound: ['not-found', 'topic-not-found', 'No service has a topic with this name'],
  policyNotFound: ['not-found', 'policy-not-found', 'No policy has this name'],
  policyContradictory: ['unprocessable', 'policy-contradictory', (detail: string) => detail],
  policyChanged: [
    'conflict',
    'policy-changed',
    'The policy has changed since you read it; read it again',
    { members: Type.Object({ revision: Type.String({ description: 'The revision in force' }) }) },
  ],
  originNotAllowed: ['forbidden', 'origin-not-allowed', 'Pages of other origins may not send unsafe requests'],
  tooManyRequests: ['too-many', 'too-many-requests', 'Too many requests; wait, then try again'],
  tooManyConcurrent: [
    'too-many',
    'too-many-concurrent',
    'Too many requests of this address are under way; try again when some have ended',
  ],
  limitsUnavailable: [
    'unavailable',
    'limits-unavailable',
    'The limits of this request cannot be checked now; try again',
  ],
  overloaded: ['unavailable', 'overloaded', 'Too many requests are under way; try again in a moment'],
  sessionsUnavailable: [
    'unavailable',
    'sessions-unavailable',
    'The session cannot be checked now; you stay signed in, try again',
  ],
  apiKeyInvalid: [
    'unauthenticated',
    'api-key-invalid',
    'The API key is not valid: it is malformed, unknown, revoked or has expired',
    { headers: { 'www-authenticate': 'Bearer realm="redis-shop", error="invalid_token"' } },
  ],
  scopeMissing: ['forbidden', 'scope-missing', 'The API key may not use this route'],
  apiKeysUnavailable: ['unavailable', 'api-keys-unavailable', 'The API key cannot be checked now; try again'],
  streamsExhausted: ['unavailable', 'streams-exhausted', 'Too many streams are open; try again in a moment'],
  tooManyStreams: ['too-many', 'too-many-streams', 'You have too many streams open; close one first'],
  bodyTooLarge: ['too-large', 'body-too-large', (maxBytes: number) => `The body is larger than ${maxBytes} bytes`],
  uploadStalled: ['invalid', 'upload-stalled', 'The upload stalled: no data arrived in time'],
  serviceUnavailable: [
    'unavailable',
    'service-unavailable',
    (service: string) => `The ${service} service does not answer; try again`,
  ],
})
