/** Products and categories over HTTP. */
import {
  CategoryList,
  Product,
  ProductInput,
  ProductPage,
  ProductPatch,
  ProductQuery,
  Quote,
  QuoteQuery,
  Sku,
} from '@shop/contracts/product'
import { cursorErrors } from '@shop/service-kit/http/cursor'
import { noBody } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireAdmin } from '@shop/service-kit/identity'
import { originOf } from '@shop/service-kit/telemetry/origin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import type { CachedResponse, Products } from './products.ts'
import { isNotModified } from './stored-response.ts'

/**
 * Anybody may keep an answer, which is the same for all, and must ask each time whether it is still the one: prices and stock change at
 * any moment, and no age is short enough to promise that they have not. Asking costs a 304 out of our own cache.
 */
const askEachTime = 'public, no-cache'

const notModified = noBody('The copy named by If-None-Match is current')
const unknownProduct = { refusals: [errors.productNotFound] }

const ProductParams = Type.Object({ sku: Sku }, { additionalProperties: false })

export function productRoutes(server: Server, products: Products) {
  server.get(
    '/api/products',
    {
      schema: { summary: 'List and search products', querystring: ProductQuery, response: { 200: ProductPage } },
      config: { refusals: [cursorErrors.cursorInvalid, errors.relevanceWithoutText] },
    },
    async (request, reply) => reply.header('cache-control', askEachTime).send(await products.page(request.query)),
  )

  // For order only: the gateway does not let it through. Never cached, because it is what a buyer will pay.
  server.get(
    '/api/products/quote',
    { schema: { querystring: QuoteQuery, response: { 200: Quote } }, config: { internal: true } },
    (request) => products.quote(request.query.sku),
  )

  server.get(
    '/api/products/:sku',
    {
      schema: { summary: 'Show a product', params: ProductParams, response: { 200: Product, 304: notModified } },
      config: unknownProduct,
    },
    async (request, reply) => stored(request, reply, await products.read(request.params.sku)),
  )

  const image = { 200: { description: 'A picture', content: { 'image/svg+xml': { schema: Type.String() } } } }
  const imageOf = {
    schema: { summary: 'Show the picture of a product', params: ProductParams, response: image },
    config: unknownProduct,
  }
  server.get('/api/products/:sku/image.svg', imageOf, async (request, reply) =>
    reply
      .header('cache-control', 'public, max-age=86400')
      .header('content-security-policy', "default-src 'none'")
      .type('image/svg+xml')
      .send(await products.image(request.params.sku)),
  )

  server.get(
    '/api/categories',
    { schema: { summary: 'List the categories', response: { 200: CategoryList, 304: notModified } } },
    async (request, reply) => stored(request, reply, await products.categories()),
  )

  adminRoutes(server, products)
}

function adminRoutes(server: Server, products: Products) {
  const adminOnly = { onRequest: async (request: FastifyRequest) => void requireAdmin(request) }
  const refusals = [identityErrors.signInRequired, identityErrors.adminOnly]

  server.post(
    '/api/products',
    {
      ...adminOnly,
      schema: { summary: 'Add a product', body: ProductInput, response: { 201: Product } },
      config: { refusals: [...refusals, errors.productExists, errors.categoryUnknown] },
    },
    async (request, reply) =>
      reply
        .code(201)
        .header('location', `/api/products/${request.body.sku}`)
        .send(await products.add(request.body, originOf(request))),
  )

  server.patch(
    '/api/products/:sku',
    {
      ...adminOnly,
      schema: { summary: 'Change a product', params: ProductParams, body: ProductPatch, response: { 200: Product } },
      config: { refusals: [...refusals, errors.productNotFound, errors.categoryUnknown] },
    },
    (request) => products.change(request.params.sku, request.body, originOf(request)),
  )

  const removal = {
    ...adminOnly,
    schema: { summary: 'Delete a product', params: ProductParams, response: { 204: noBody('Deleted') } },
    config: { refusals: [...refusals, errors.productNotFound] },
  }
  server.delete('/api/products/:sku', removal, async (request, reply) => {
    await products.remove(request.params.sku, originOf(request))
    return reply.code(204).send()
  })
}

/**
 * The stored text as it is, or 304. It depends on the URL alone, so there is no Vary. Returned and not sent here: to wait for a reply
 * that was sent costs Fastify as much as the rest of a hit.
 */
function stored(request: FastifyRequest, reply: FastifyReply, { value, source }: CachedResponse) {
  const { etag, body } = value
  reply.header('etag', etag).header('cache-control', askEachTime).header('x-cache', source)
  if (isNotModified(request.headers['if-none-match'], etag)) return reply.code(304).send()
  reply.type('application/json; charset=utf-8')
  return body as never // the JSON of what the route's schema says
}
