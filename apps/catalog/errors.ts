/** Every way in which the catalog says no. */
import { defineErrors } from '@shop/service-kit/errors'

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
})
