/** Which service answers what: the whole public API on one screen. */

import type { ApiKeyScope } from '@shop/contracts/api-key'
import { type CookieName, cartCookieName, sessionCookieName } from '@shop/contracts/cookies'
import type { InternalServiceName } from '@shop/contracts/services'
import type { FastifyRequest } from 'fastify'

/** What routes have in common for their limits: see limits/policies.yaml. */
export const routeClasses = [
  'browse',
  'sign-in',
  'register',
  'account',
  'cart',
  'checkout',
  'orders',
  'stream',
  'admin',
  'import',
  'docs',
  /** A path or method that does not exist. */
  'unknown',
] as const
export type RouteClass = (typeof routeClasses)[number]

export function perRouteClass<Value>(make: (routeClass: RouteClass) => Value): Record<RouteClass, Value> {
  const values = {} as Record<RouteClass, Value>
  for (const routeClass of routeClasses) values[routeClass] = make(routeClass)
  return values
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** At the gateway, where all routes but those of health have one. */
    limits?: RouteClass
    /** On every route that asks who the caller is. */
    access?: Access
  }
}

export interface Route {
  methods: readonly ('GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[]
  path: string
  service: InternalServiceName
  limits: RouteClass
  /**
   * While sessions cannot be loaded: `guest` treats each caller as a guest, for answers that are the same for all; `refuse` answers
   * 503, because a caller who is signed in must not be taken for a guest.
   */
  withoutSessions: 'guest' | 'refuse'
  /** What an API key must have to use it. Without this it refuses every key: partners reach what is meant for them, and nothing else. */
  scope?: ApiKeyScope
  /** The client's cookies that the service sees. Without this it sees none: who asks is in the signed identity. */
  cookies?: readonly CookieName[]
  /** The body may be large: it is passed on as it comes, and never sent twice. Without this it is read first: at most 1 MiB. */
  body?: 'stream'
  /**
   * The answer has no end (server-sent events): it is passed on piece by piece. The service sends something, a comment at least, well
   * within STREAM_IDLE_MS (every 15 seconds, say), and begins again at `last-event-id` when the browser comes back.
   */
  answer?: 'stream'
}

/** What a route says about who may ask. */
export type Access = Pick<Route, 'withoutSessions' | 'scope'>

const cart: readonly CookieName[] = [cartCookieName]
/** Sign-in ends the session that the browser had before. */
const session: readonly CookieName[] = [sessionCookieName]

export const routes: readonly Route[] = [
  {
    methods: ['GET'],
    path: '/api/products',
    service: 'catalog',
    limits: 'browse',
    withoutSessions: 'guest',
    scope: 'products:read',
  },
  {
    methods: ['GET'],
    path: '/api/products/:sku',
    service: 'catalog',
    limits: 'browse',
    withoutSessions: 'guest',
    scope: 'products:read',
  },
  {
    methods: ['GET'],
    path: '/api/products/:sku/image.svg',
    service: 'catalog',
    limits: 'browse',
    withoutSessions: 'guest',
    scope: 'products:read',
  },
  {
    methods: ['GET'],
    path: '/api/categories',
    service: 'catalog',
    limits: 'browse',
    withoutSessions: 'guest',
    scope: 'categories:read',
  },
  { methods: ['POST'], path: '/api/products', service: 'catalog', limits: 'admin', withoutSessions: 'refuse' },
  {
    methods: ['PATCH', 'DELETE'],
    path: '/api/products/:sku',
    service: 'catalog',
    limits: 'admin',
    withoutSessions: 'refuse',
  },
  {
    methods: ['POST'],
    path: '/api/products/import',
    service: 'catalog',
    limits: 'import',
    withoutSessions: 'refuse',
    body: 'stream',
  },

  { methods: ['POST'], path: '/api/users', service: 'user', limits: 'register', withoutSessions: 'guest' },
  { methods: ['GET', 'PATCH'], path: '/api/users/me', service: 'user', limits: 'account', withoutSessions: 'refuse' },
  {
    methods: ['POST'],
    path: '/api/sessions',
    service: 'user',
    limits: 'sign-in',
    withoutSessions: 'guest',
    cookies: session,
  },
  { methods: ['GET', 'DELETE'], path: '/api/sessions', service: 'user', limits: 'account', withoutSessions: 'refuse' },
  { methods: ['DELETE'], path: '/api/sessions/:id', service: 'user', limits: 'account', withoutSessions: 'refuse' },

  { methods: ['GET', 'POST'], path: '/api/api-keys', service: 'user', limits: 'admin', withoutSessions: 'refuse' },
  { methods: ['DELETE'], path: '/api/api-keys/:id', service: 'user', limits: 'admin', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/api-keys/:id/rotate', service: 'user', limits: 'admin', withoutSessions: 'refuse' },

  { methods: ['GET'], path: '/api/cart', service: 'order', limits: 'cart', withoutSessions: 'refuse', cookies: cart },
  {
    methods: ['PUT', 'DELETE'],
    path: '/api/cart/items/:sku',
    service: 'order',
    limits: 'cart',
    withoutSessions: 'refuse',
    cookies: cart,
  },
  { methods: ['GET'], path: '/api/orders', service: 'order', limits: 'orders', withoutSessions: 'refuse' },
  {
    methods: ['POST'],
    path: '/api/orders',
    service: 'order',
    limits: 'checkout',
    withoutSessions: 'refuse',
    cookies: cart,
  },
  { methods: ['GET'], path: '/api/orders/:id', service: 'order', limits: 'orders', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/orders/:id/cancel', service: 'order', limits: 'orders', withoutSessions: 'refuse' },
  { methods: ['GET'], path: '/api/orders/:id/timeline', service: 'order', limits: 'orders', withoutSessions: 'refuse' },
  {
    methods: ['GET'],
    path: '/api/orders/:id/events',
    service: 'order',
    limits: 'stream',
    withoutSessions: 'refuse',
    answer: 'stream',
  },
]

/** The streams between the services, put together from the answers of all that own one. See console.ts. */
export const topicListPath = '/api/console/streams'

/** Of one stream: answered by the service that owns the topic, for administrators. */
export const topicRoutes: readonly Pick<Route, 'methods' | 'path' | 'limits'>[] = [
  { methods: ['GET'], path: '/api/console/streams/:topic/dead', limits: 'admin' },
  { methods: ['POST'], path: '/api/console/streams/:topic/dead/redrive', limits: 'admin' },
  { methods: ['GET', 'DELETE'], path: '/api/console/streams/:topic/dead/:id', limits: 'admin' },
  { methods: ['POST'], path: '/api/console/streams/:topic/dead/:id/redrive', limits: 'admin' },
]

/** The limits themselves: answered by the gateway, for administrators. See limits/routes.ts. */
export const limitsPath = '/api/console/limits'
export const limitRouteList: readonly Pick<Route, 'methods' | 'path'>[] = [
  { methods: ['GET'], path: limitsPath },
  { methods: ['PUT', 'DELETE'], path: `${limitsPath}/:policy` },
]

/** What services ask each other under a path that would fit one above. From outside there is nothing. */
export const internalPaths: readonly string[] = ['/api/products/quote']

/** The class of a request's route; undefined for the routes of health, which machines ask and which have no limits. */
export function routeClassOf({ is404, routeOptions }: FastifyRequest): RouteClass | undefined {
  return is404 ? 'unknown' : routeOptions.config.limits
}

export const services = [...new Set(routes.map(({ service }) => service))]
