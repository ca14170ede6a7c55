/**
 * The products of the demo, as a pure function of their number: product 4711 is the same on every machine and in every run,
 * however many are asked for. Nothing is kept between two products, so that a hundred thousand take no memory.
 */

import { type CategoryWords, styles as commonStyles, type Range } from './vocabulary.ts'
import { homeCategories } from './vocabulary-home.ts'
import { leisureCategories } from './vocabulary-leisure.ts'

/** As `ProductInput` of the contracts, plus when it came into the shop. */
export interface SeedProduct {
  sku: string
  name: string
  description: string
  category: string
  priceCents: number
  stockCount: number
  createdAt: Date
}

export const categories: readonly CategoryWords[] = [...homeCategories, ...leisureCategories]

/** What fits in a sku's number. */
export const maxProducts = 100_000

/** The catalogue ends here: `newest` shows the same products first, whenever it was seeded. */
const newestMs = Date.UTC(2026, 10, 1)
const spanMs = 2 * 365 * 24 * 60 * 60 * 1000

export function* generateProducts(count: number): Generator<SeedProduct> {
  for (let index = 0; index < count; index++) yield productAt(index)
}

export function productAt(index: number): SeedProduct {
  const words = at(categories, index)
  const number = Math.floor(index / categories.length)
  const random = createRandom(index)
  const draw = nameAt(words, number)
  return {
    sku: `${words.code}-${String(number + 1).padStart(5, '0')}`,
    name: draw.name,
    description: describe(words, draw, random),
    category: words.slug,
    priceCents: price(draw.euros * (0.85 + random() * 0.4)),
    stockCount: stock(random),
    createdAt: new Date(newestMs - Math.floor(random() * spanMs)),
  }
}

interface Draw {
  name: string
  euros: number
  noun: string
  material: string
  purpose: string
  styleSentence: string
}

/**
 * Walks all combinations of a category's words in strides, so that neighbours look different and no name comes twice. When all
 * are used up the same things are sold in sets.
 */
function nameAt(words: CategoryWords, number: number): Draw {
  const { styles = commonStyles } = words
  const combinations = (range: Range) =>
    range.things.length * styles.length * range.materials.length * range.variants.length
  const total = words.ranges.reduce((sum, range) => sum + combinations(range), 0)
  const round = Math.floor(number / total)
  let rest = (number * strideFor(total)) % total
  const range = words.ranges.find((candidate) => {
    if (rest < combinations(candidate)) return true
    rest -= combinations(candidate)
    return false
  })
  if (!range) throw new Error(`no range of ${words.slug} holds ${number}`)
  const [noun, euros, purpose] = at(range.things, rest)
  rest = Math.floor(rest / range.things.length)
  const [adjective, styleSentence] = at(styles, rest)
  rest = Math.floor(rest / styles.length)
  const [material, factor] = at(range.materials, rest)
  rest = Math.floor(rest / range.materials.length)
  const set = round === 0 ? '' : `, Set of ${round + 1}`
  return {
    name: `${adjective} ${material} ${noun}, ${at(range.variants, rest)}${set}`,
    euros: euros * factor * (1 + round * 0.9),
    noun: noun.toLowerCase(),
    material,
    purpose,
    styleSentence,
  }
}

/** Near the golden section of the total and without a common divisor, so that the strides meet every number once. */
function strideFor(total: number): number {
  let stride = Math.max(1, Math.round(total * 0.618))
  while (greatestCommonDivisor(stride, total) !== 1) stride++
  return stride
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

function describe(words: CategoryWords, draw: Draw, random: () => number): string {
  const opening = `Made of ${draw.material.toLowerCase()} for ${draw.purpose}.`
  const article = /^[aeiou]/.test(draw.noun) ? 'An' : 'A'
  const alternative = `${article} ${draw.noun} for ${draw.purpose}.`
  const first = isQuality(draw.material) || random() < 0.4 ? alternative : opening
  const remark = at(words.remarks, Math.floor(random() * words.remarks.length))
  return random() < 0.25 ? `${first} ${remark}` : `${first} ${draw.styleSentence} ${remark}`
}

/** Words that stand where a material stands but are none: nothing is "made of fair trade". */
const isQuality = (material: string) =>
  /Organic|Natural|Estate|Trade|Ground|Batch|Poured|Blended|Weave|Oxford/.test(material)

/** Prices end as prices do: .50 or .90 when small, .95 or a whole number in the middle, on a 9 when large. */
function price(euros: number): number {
  if (euros < 20) return Math.max(1, Math.floor(euros)) * 100 + (Math.floor(euros * 10) % 2 === 0 ? 50 : 90)
  if (euros < 100) return Math.floor(euros) * 100 + (Math.floor(euros) % 3 === 0 ? 0 : 95)
  return Math.max(99, Math.round(euros / 10) * 10 - 1) * 100
}

/** Most are well stocked, some are running out, one in thirty is sold out. */
function stock(random: () => number): number {
  const chance = random()
  if (chance < 0.03) return 0
  if (chance < 0.12) return 1 + Math.floor(random() * 4)
  return 5 + Math.floor(random() * random() * 295)
}

/** mulberry32: 32 bits of state, seeded by the product's number. */
function createRandom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The item at a position that may be past the end: then it starts again. */
function at<Item>(items: readonly Item[], position: number): Item {
  const item = items[position % items.length]
  if (item === undefined) throw new Error('an empty list of words')
  return item
}
