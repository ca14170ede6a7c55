/** Every way in which the catalog says no. */
import { defineErrors } from '@shop/service-kit/http/errors'

export const errors = defineErrors({
  relevanceWithoutText: [
    'invalid',
    'relevance-without-text',
    'Only a search has a relevance to sort by',
    { fields: [{ path: 'sort', message: 'needs a q', code: 'relevance' }] },
  ],
  productNotFound: ['not-found', 'product-not-found', (sku: string) => `No product has the SKU ${sku}`],
  productExists: [
    'conflict',
    'product-exists',
    'There is a product with this SKU already',
    { fields: [{ path: '/sku', message: 'belongs to a product already', code: 'taken' }] },
  ],
  categoryUnknown: [
    'unprocessable',
    'category-unknown',
    'There is no such category',
    { fields: [{ path: '/category', message: 'is not a category of the shop', code: 'unknown' }] },
  ],
  importFormatUnknown: [
    'unsupported-media-type',
    'unsupported-media-type',
    'An import is application/x-ndjson or text/csv: say which in Content-Type',
  ],
  importNotUtf8: ['unsupported-media-type', 'charset-unsupported', 'An import is UTF-8'],
  importTooLarge: [
    'too-large',
    'import-too-large',
    (maxBytes: number) => `The file is larger than ${maxBytes} bytes; send it in parts. What was read so far is taken`,
  ],
  importStalled: [
    'invalid',
    'import-stalled',
    'The file has stopped coming. What was read so far may be taken: send it again',
  ],
  importBrokenOff: ['invalid', 'import-broken-off', 'The connection was lost before the end of the file'],
  importsBusy: [
    'too-many',
    'imports-busy',
    'Other imports are running here; try again when they are done',
    { retryAfterMs: 10_000 },
  ],
  csvHeaderInvalid: [
    'invalid',
    'csv-header-invalid',
    (fields: readonly string[]) => `The first line must name the columns ${fields.join(', ')}, separated by commas`,
  ],
})
