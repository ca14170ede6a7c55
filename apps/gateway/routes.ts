/** Which service answers what: the whole public API on one screen. */

export interface Route {
  methods: readonly ('GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[]
  path: string
  service: 'catalog' | 'user' | 'order'
  /**
   * While it cannot be known who asks: `guest` treats everybody as a guest, for what is the same for all; `refuse` answers
   * 503, for whoever is signed in must not be taken for somebody who is not.
   */
  withoutSessions: 'guest' | 'refuse'
}

export const routes: readonly Route[] = [
  { methods: ['GET'], path: '/api/products', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/products/:sku', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/products/:sku/image.svg', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['GET'], path: '/api/categories', service: 'catalog', withoutSessions: 'guest' },
  { methods: ['POST'], path: '/api/products', service: 'catalog', withoutSessions: 'refuse' },
  { methods: ['PATCH', 'DELETE'], path: '/api/products/:sku', service: 'catalog', withoutSessions: 'refuse' },

  { methods: ['POST'], path: '/api/users', service: 'user', withoutSessions: 'guest' },
  { methods: ['GET', 'PATCH'], path: '/api/users/me', service: 'user', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/sessions', service: 'user', withoutSessions: 'guest' },
  { methods: ['GET', 'DELETE'], path: '/api/sessions', service: 'user', withoutSessions: 'refuse' },
  { methods: ['DELETE'], path: '/api/sessions/:id', service: 'user', withoutSessions: 'refuse' },

  { methods: ['GET'], path: '/api/cart', service: 'order', withoutSessions: 'refuse' },
  { methods: ['PUT', 'DELETE'], path: '/api/cart/items/:sku', service: 'order', withoutSessions: 'refuse' },
  { methods: ['GET', 'POST'], path: '/api/orders', service: 'order', withoutSessions: 'refuse' },
  { methods: ['GET'], path: '/api/orders/:id', service: 'order', withoutSessions: 'refuse' },
  { methods: ['POST'], path: '/api/orders/:id/cancel', service: 'order', withoutSessions: 'refuse' },
]

/** What services ask each other under a path that would fit one above. From outside there is nothing. */
export const internalPaths: readonly string[] = ['/api/products/quote']

export const services = [...new Set(routes.map(({ service }) => service))]
