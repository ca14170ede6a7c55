/** The data: 10,000 products of about 1.2 KB of JSON, the same for everybody. */

export interface Product {
  sku: string
  name: string
  description: string
  category: string
  priceCents: number
  currency: string
  stockCount: number
  imageUrl: string
  updatedAt: string
}

export const productCount = 10_000
const jsonBytes = 1200
const sentence = 'Whole leaves from a single garden, picked in spring and rolled by hand. '

export const skus: readonly string[] = Array.from({ length: productCount }, (_, index) => `TEA-${10_000 + index}`)

export function makeProduct(sku: string): Product {
  const product = {
    sku,
    name: `Tea ${sku.slice(4)}`,
    description: '',
    category: 'tea',
    priceCents: 500 + (Number(sku.slice(4)) % 4000),
    currency: 'EUR',
    stockCount: 100,
    imageUrl: `/api/products/${sku}/image.svg`,
    updatedAt: '2026-01-01T00:00:00.000Z',
  }
  const missing = jsonBytes - JSON.stringify(product).length
  return { ...product, description: sentence.repeat(Math.ceil(missing / sentence.length)).slice(0, missing) }
}
