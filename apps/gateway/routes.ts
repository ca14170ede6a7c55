/** Which service answers what: the whole public API on one screen. */

import { type CookieName, cartCookieName, sessionCookieName } from '@shop/contracts/cookies'
import type { InternalServiceName } from '@shop/contracts/services'

export interface Route {
  methods: readonly ('GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[]
  path: string
  service: InternalServiceName
  /**
   * While it cannot be known who asks: `guest` treats everybody as a guest, for what is the same for all; `refuse` answers
   * 503, for whoever is signed in must not be taken for somebody who is not.
   */
  withoutSessions: 'guest' | 'refuse'
  /** The client's cookies that the service sees. Without this it sees none: who asks is in the signed identity. */
  cookies?: readonly CookieName[]
  /** The body may be large: it is passed on as it comes, and never sent twice. Without this it is read first, up to 1 MiB. */
  body?: 'stream'
  /**
   * The answer has no end (server-sent events): it is passed on piece by piece. The service sends something, a comment at least, well
   * within STREAM_IDLE_MS (every 15 seconds, say), and begins again at `last-event-id` when the browser comes back.
   */
  answer?: 'stream'
}

const cart: readonly CookieName[] = [cartCookieName]
/** Sign-in ends the session that the browser had before. */
const session: readonly CookieName[] = [sessionCookieName]

export const routes: readonly Route[] = [
  { methods: ['GET'], path: '/api/products', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/products/:sku', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/products/:sku/image.svg', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/categories', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['POST'], path: '/api/products', service: 'catalog', withoutSessions: 'refuse' },
  { methods: ['PATCH', 'DELETE'], path: '/api/products/:sku', service: 'catalog', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/products/import', service: 'catalog', withoutSessions: 'refuse', body: 'stream' },

  { methods: ['POST'], path: '/api/users', service: 'user', withoutSessions: 'guest' },
  { methods: ['GET', 'PATCH'], path: '/api/users/me', service: 'user', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/sessions', service: 'user', withoutSessions: 'guest', cookies: session },
  { methods: ['GET', 'DELETE'], path: '/api/sessions', service: 'user', withoutSessions: 'refuse' },
  { methods: ['DELETE'], path: '/api/sessions/:id', service: 'user', withoutSessions: 'refuse' },

  { methods: ['GET'], path: '/api/cart', service: 'order', withoutSessions: 'refuse', cookies: cart },
  {
    methods: ['PUT', 'DELETE'],
    path: '/api/cart/items/:sku',
    service: 'order',
    withoutSessions: 'refuse',
    cookies: cart,
  },
  { methods: ['GET'], path: '/api/orders', service: 'order', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/orders', service: 'order', withoutSessions: 'refuse', cookies: cart },
  { methods: ['GET'], path: '/api/orders/:id', service: 'order', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/orders/:id/cancel', service: 'order', withoutSessions: 'refuse' },
  { methods: ['GET'], path: '/api/orders/:id/timeline', service: 'order', withoutSessions: 'refuse' },
  { methods: ['GET'], path: '/api/orders/:id/events', service: 'order', withoutSessions: 'refuse', answer: 'stream' },
]

/** The streams between the services, put together from the answers of all that own one. See console.ts. */
export const topicListPath = '/api/console/streams'

/** Of one stream: answered by the service that owns the topic, for administrators. */
export const topicRoutes: readonly Pick<Route, 'methods' | 'path'>[] = [
  { methods: ['GET'], path: '/api/console/streams/:topic/dead' },
  { methods: ['POST'], path: '/api/console/streams/:topic/dead/redrive' },
  { methods: ['GET', 'DELETE'], path: '/api/console/streams/:topic/dead/:id' },
  { methods: ['POST'], path: '/api/console/streams/:topic/dead/:id/redrive' },
]

/** What services ask each other under a path that would fit one above. From outside there is nothing. */
export const internalPaths: readonly string[] = ['/api/products/quote']

export const services = [...new Set(routes.map(({ service }) => service))]
