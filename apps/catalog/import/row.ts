/** One line of a file on its way to a product. */
import { ProductInput, type RefusedLine } from '@shop/contracts/product'
import { createCheck } from '@shop/service-kit/http/validation'

/** As it was read: a value that may be a product, or why it is none. */
export type ReadRow = { line: number; value: unknown } | RefusedLine

/** The longest line, or CSV record, that is looked at. The longest product takes half of it. */
export const maxRowBytes = 65_536

const mistakesIn = createCheck(ProductInput)

/** A product as `POST /api/products` would take it, or what is wrong with the line: the first mistake only. */
export function checkRow(row: ReadRow): { line: number; product: ProductInput } | RefusedLine {
  if ('code' in row) return row
  const { line, value } = row
  const [mistake] = mistakesIn(value)
  if (mistake) {
    const message = `${mistake.path.slice(1)} ${mistake.message}`.trim()
    return { line, ...skuOf(value), code: 'validation-failed', message }
  }
  const product = value as ProductInput
  if (`${product.name}${product.description}`.includes('\u0000')) {
    return { line, sku: product.sku, code: 'nul-character', message: 'text must not contain the character U+0000' }
  }
  if (!`${product.name}\n${product.description}`.isWellFormed()) {
    const message = 'text must not contain an unpaired surrogate'
    return { line, sku: product.sku, code: 'lone-surrogate', message }
  }
  return { line, product }
}

function skuOf(value: unknown): { sku?: string } {
  const { sku } = (value ?? {}) as { sku?: unknown }
  return typeof sku === 'string' ? { sku: sku.slice(0, 60) } : {}
}
