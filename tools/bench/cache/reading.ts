/** What every contender of the tables of hits does: fill, check, then read at random. */
import { isDeepStrictEqual } from 'node:util'
import { closedLoop, pickerOf } from '../harness/closed-loop.ts'
import { makeProduct, type Product, skus } from '../harness/products.ts'
import type { Running } from '../harness/suite.ts'

/** Loads per read that a measurement of hits puts up with: a hiccup may run into somebody's timeout. */
const MAX_LOAD_SHARE = 0.01
const FILL_AT_ONCE = 100

export type Load = (sku: string) => Promise<Product>

export interface Reader {
  /** A read through the cache. */
  read(sku: string): Promise<unknown>
  /** Puts a product in; without it the first read does. */
  fill?(sku: string, product: Product): Promise<unknown>
  close(): Promise<unknown>
}

export interface ReadingOptions {
  /** See closed-loop.ts. */
  sampleEvery?: number
}

/** Throws when what is read is not what was filled in, and a measurement when it was not of hits. */
export async function reading(
  open: (load: Load) => Promise<Reader>,
  { sampleEvery }: ReadingOptions = {},
): Promise<Running> {
  let loadCount = 0
  const { read, fill, close } = await open(async (sku) => {
    loadCount += 1
    return makeProduct(sku)
  })
  for (let at = 0; at < skus.length; at += FILL_AT_ONCE) {
    const some = skus.slice(at, at + FILL_AT_ONCE)
    await Promise.all(some.map((sku) => fill?.(sku, makeProduct(sku)) ?? read(sku)))
    await Promise.all(some.map(read))
  }
  const sku = skus[7] as string
  if (!isProduct(await read(sku), makeProduct(sku)))
    throw new Error(`the value read for ${sku} differs from the stored one`)

  const pick = pickerOf(skus)
  return {
    async measure(plan) {
      loadCount = 0
      const sample = await closedLoop(() => read(pick()), plan, { sampleEvery })
      const share = loadCount / ((sample.perSecond as number) * (plan.durationMs / 1000))
      if (share > MAX_LOAD_SHARE) throw new Error(`${loadCount} of the reads were not hits`)
      return sample
    },
    close: async () => void (await close()),
  }
}

/** As it is, or in the envelope that says where it came from. */
function isProduct(found: unknown, product: Product): boolean {
  return (
    isDeepStrictEqual(found, product) || isDeepStrictEqual((found as { value?: unknown } | undefined)?.value, product)
  )
}
