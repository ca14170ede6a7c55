/** The import over HTTP: the one route that reads its body itself. */
import { ImportReport } from '@shop/contracts/product'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireAdmin } from '@shop/service-kit/identity'
import { originOf } from '@shop/service-kit/telemetry/origin'
import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { type BodyLimits, readBody } from './body.ts'
import { readCsv } from './csv.ts'
import type { Imports } from './import.ts'
import { readNdjson } from './ndjson.ts'

const refusals = [
  identityErrors.signInRequired,
  identityErrors.adminOnly,
  errors.importFormatUnknown,
  errors.importNotUtf8,
  errors.importTooLarge,
  errors.importStalled,
  errors.importsBusy,
  errors.csvHeaderInvalid,
]
const describedBody = {
  'application/x-ndjson':
    '{"sku":"NEW-00002","name":"Tea tin","description":"","category":"kitchen","priceCents":990,"stockCount":40}\n',
  'text/csv': 'sku,name,description,category,priceCents,stockCount\nNEW-00002,Tea tin,,kitchen,990,40\n',
}
const formats = { 'application/x-ndjson': readNdjson, 'text/csv': readCsv }

export function importRoutes(server: Server, imports: Imports, limits: BodyLimits) {
  // In a scope of its own: elsewhere these content types stay 415, and here JSON is.
  server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(Object.keys(formats), (_request, payload, done) => done(null, payload))
    scope.post(
      '/api/products/import',
      {
        onRequest: async (request) => void requireAdmin(request),
        config: { streamsBody: true, refusals, describedBody },
        schema: {
          summary: 'Import products from a file',
          response: { 200: ImportReport },
        },
      },
      (request) => receive(request, imports, limits),
    )
  })
}

async function receive(request: FastifyRequest, imports: Imports, limits: BodyLimits): Promise<ImportReport> {
  const { headers, raw } = request
  const read = formatOf(headers['content-type'])
  if (Number(headers['content-length']) > limits.maxBytes) throw errors.importTooLarge(limits.maxBytes)
  return imports.run(read(readBody(raw, limits)), originOf(request))
}

/** What is sent without a content type, or in another encoding, is refused rather than guessed at. */
function formatOf(contentType = '') {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters.find((parameter) => parameter.trim().startsWith('charset='))
  if (charset !== undefined && !/=\s*"?utf-8"?\s*$/.test(charset)) throw errors.importNotUtf8()
  const read = formats[type.trim() as keyof typeof formats]
  if (read === undefined) throw errors.importFormatUnknown()
  return read
}
