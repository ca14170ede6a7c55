import { hash } from 'node:crypto'
import { ProductInput } from '@shop/contracts/product'
import { Compile } from 'typebox/compile'
import { describe, expect, it } from 'vitest'
import { categories, generateProducts, maxProducts, productAt } from './catalogue.ts'

const isProduct = Compile(ProductInput)

describe('the catalogue', () => {
  it('has a hundred thousand products that the contract accepts, each with a sku and a name of its own', () => {
    const skus = new Set<string>()
    const names = new Set<string>()
    const prices = { min: Number.POSITIVE_INFINITY, max: 0 }
    let soldOutCount = 0
    for (const { createdAt, ...product } of generateProducts(maxProducts)) {
      if (!isProduct.Check(product))
        throw new Error(`${JSON.stringify(product)}: ${isProduct.Errors(product)[0]?.message}`)
      if (Number.isNaN(createdAt.getTime())) throw new Error(`${product.sku} came into the shop at no time`)
      skus.add(product.sku)
      names.add(product.name)
      prices.min = Math.min(prices.min, product.priceCents)
      prices.max = Math.max(prices.max, product.priceCents)
      if (product.stockCount === 0) soldOutCount += 1
    }
    expect(skus.size).toBe(maxProducts)
    expect(names.size).toBe(maxProducts)
    expect(prices.min).toBeGreaterThanOrEqual(300)
    expect(prices.max).toBeLessThan(200_000)
    expect(soldOutCount / maxProducts).toBeGreaterThan(0.02)
    expect(soldOutCount / maxProducts).toBeLessThan(0.04)
  })

  it('is the same on every machine: a change of it changes this sum', () => {
    const sum = hash('sha256', JSON.stringify([...generateProducts(2_000)]))
    expect(sum).toBe('52a2199441fb7d645b4bd572e91202c5381037a05f4a947d6b582232a5f9242d')
  })

  it('does not depend on how much of it is asked for', () => {
    const [first] = generateProducts(1)
    expect(first).toEqual(productAt(0))
    expect([...generateProducts(50)][37]).toEqual(productAt(37))
  })

  it('fills twenty categories evenly and makes sense of each', () => {
    expect(categories).toHaveLength(20)
    const products = [...generateProducts(200)]
    for (const { slug } of categories) {
      const own = products.filter(({ category }) => category === slug)
      expect(own).toHaveLength(10)
      expect(new Set(own.map(({ name }) => name)).size).toBe(10)
    }
    for (const { description } of products) expect(description).toMatch(/^[A-Z].+\. [A-Z].+\.$/)
  })
})
