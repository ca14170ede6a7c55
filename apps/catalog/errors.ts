/** Every way in which the catalog says no. */
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  relevanceWithoutText: [
    'invalid',
    'relevance-without-text',
    'Sorting by relevance needs the parameter q',
    { fields: [{ path: 'sort', message: 'requires q', code: 'relevance' }] },
  ],
  productNotFound: ['not-found', 'product-not-found', (sku: string) => `No product has the SKU ${sku}`],
  productExists: [
    'conflict',
    'product-exists',
    'A product with this SKU already exists',
    { fields: [{ path: '/sku', message: 'already belongs to a product', code: 'taken' }] },
  ],
  categoryUnknown: [
    'unprocessable',
    'category-unknown',
    'The category does not exist',
    { fields: [{ path: '/category', message: 'is not a category of the shop', code: 'unknown' }] },
  ],
  importFormatUnknown: [
    'unsupported-media-type',
    'unsupported-media-type',
    'Set Content-Type to application/x-ndjson or text/csv',
  ],
  importNotUtf8: ['unsupported-media-type', 'charset-unsupported', 'An import must be encoded in UTF-8'],
  importTooLarge: [
    'too-large',
    'import-too-large',
    (maxBytes: number) =>
      `The file is larger than ${maxBytes} bytes; send it in parts. Products read so far are imported`,
  ],
  importStalled: [
    'invalid',
    'import-stalled',
    'The upload stalled. Some products may be imported: send the file again',
  ],
  importBrokenOff: ['invalid', 'import-broken-off', 'The connection was lost before the end of the file'],
  importsBusy: [
    'too-many',
    'imports-busy',
    'Other imports are running; try again when they have ended',
    { retryAfterMs: 10_000 },
  ],
  csvHeaderInvalid: [
    'invalid',
    'csv-header-invalid',
    (fields: readonly string[]) => `The first line must name the columns ${fields.join(', ')}, separated by commas`,
  ],
})
