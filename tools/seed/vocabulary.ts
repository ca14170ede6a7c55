/**
 * The grammar of the catalogue. A category holds ranges of things; within a range every thing comes in every material and
 * variant, so that whatever is drawn makes sense: no copper pillow, no bench of two litres. No word here is a brand.
 */

export interface CategoryWords {
  slug: string
  name: string
  /** First part of every sku of the category. */
  code: string
  ranges: readonly Range[]
  /** What its things are called besides; `styles` unless told. */
  styles?: readonly Style[]
  /** Whole sentences that are true of everything in the category. */
  remarks: readonly string[]
}

export interface Range {
  things: readonly Thing[]
  /** The material and how its price compares. */
  materials: readonly (readonly [name: string, factor: number])[]
  /** Colours, sizes, scents: what one and the same thing differs in. */
  variants: readonly string[]
}

/** The thing, its usual price in euros, and what it is for: completes "Made for …". */
type Thing = readonly [noun: string, euros: number, purpose: string]

export type Style = readonly [adjective: string, sentence: string]

export const styles: readonly Style[] = [
  ['Classic', 'A familiar shape that has not needed changing for decades.'],
  ['Compact', 'It takes up less room than you would expect.'],
  ['Everyday', 'Plain, sturdy and meant to be used daily.'],
  ['Handmade', 'Each piece is finished by hand, so no two are quite alike.'],
  ['Heritage', 'Made after a pattern from our archive.'],
  ['Lightweight', 'Light enough to carry with one hand.'],
  ['Modern', 'Clean lines and no decoration that serves no purpose.'],
  ['Nordic', 'Calm tones and soft edges make it easy to live with.'],
  ['Original', 'The first of its range, and still the one that is asked for most.'],
  ['Simple', 'Nothing on it that could come off.'],
  ['Slim', 'Narrow where others are bulky.'],
  ['Studio', 'Drawn by a small studio and made in small series.'],
  ['Sturdy', 'Reinforced where it matters and tested well beyond normal use.'],
  ['Vintage', 'The look of the sixties, made with the means of today.'],
]

/** For what is eaten, drunk or burnt. */
export const flavours: readonly Style[] = [
  ['Bold', 'There is no overlooking it.'],
  ['Classic', 'The way it has been made for generations.'],
  ['Delicate', 'Fine, light and never overpowering.'],
  ['Everyday', 'Good enough for guests, made for every day.'],
  ['Festive', 'Too good to keep for Christmas.'],
  ['Heritage', 'From an old recipe out of our archive.'],
  ['Mellow', 'Round, soft and without a sharp edge.'],
  ['Original', 'The first we ever made, and still the one that is asked for most.'],
  ['Pure', 'One ingredient and nothing else.'],
  ['Rich', 'A little of it goes a long way.'],
  ['Seasonal', 'Made once a year, until it is gone.'],
  ['Simple', 'Nothing in it that could be left out.'],
]

export const colours = [
  'Sand',
  'Slate',
  'Moss',
  'Ink Blue',
  'Chalk',
  'Terracotta',
  'Charcoal',
  'Mustard',
  'Plum',
  'Sea Green',
]

const clothingSizes = ['XS', 'S', 'M', 'L', 'XL', 'XXL']
export const clothing = colours.flatMap((colour) => clothingSizes.map((size) => `${colour}, ${size}`))

export const diameters = ['16 cm', '18 cm', '20 cm', '22 cm', '24 cm', '26 cm', '28 cm', '30 cm']
export const flasks = ['0.25 l', '0.35 l', '0.5 l', '0.6 l', '0.75 l', '1 l', '1.2 l', '1.5 l']
export const litres = ['1 l', '1.5 l', '2 l', '3 l', '5 l', '8 l', '10 l', '12 l']

export const woods = [
  ['Oak', 1.2],
  ['Walnut', 1.5],
  ['Beech', 1],
  ['Ash', 1.1],
  ['Bamboo', 0.85],
  ['Pine', 0.7],
] as const

export const metals = [
  ['Steel', 1],
  ['Aluminium', 1.1],
  ['Brass', 1.6],
  ['Copper', 1.8],
] as const

export const fabrics = [
  ['Cotton', 1],
  ['Linen', 1.25],
  ['Wool', 1.5],
  ['Hemp', 1.15],
] as const

export const ceramics = [
  ['Porcelain', 1.3],
  ['Stoneware', 1],
  ['Earthenware', 0.85],
  ['Bone China', 1.6],
] as const
