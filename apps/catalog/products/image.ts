/** A picture for every product, drawn from its sku: the demo has no photographs, and no two products should look alike. */
import { hash } from 'node:crypto'
import type { Product } from '@shop/contracts/product'

/** The same product gets the same bytes on every machine. Its name is the title that screen readers say. */
export function drawProduct({ sku, name, category }: Pick<Product, 'sku' | 'name' | 'category'>): string {
  const bytes = hash('sha256', sku, 'buffer')
  const byte = (index: number) => bytes[index] ?? 0
  const hue = Math.round((byte(0) / 255) * 360)
  const tilt = (byte(1) % 31) - 15
  const scale = (0.85 + (byte(2) % 30) / 100).toFixed(2)
  const light = `hsl(${hue} 45% 92%)`
  const main = `hsl(${hue} 42% 52%)`
  const accent = `hsl(${(hue + 150) % 360} 50% 42%)`
  const title = escapeXml(name)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img" aria-labelledby="title">`,
    `<title id="title">${title}</title>`,
    `<rect width="400" height="400" fill="${light}"/>`,
    `<circle cx="${120 + (byte(3) % 160)}" cy="${120 + (byte(4) % 160)}" r="${90 + (byte(5) % 60)}" fill="#fff" opacity=".55"/>`,
    `<g transform="translate(200 200) rotate(${tilt}) scale(${scale})" fill="${main}" stroke="${accent}" stroke-width="8" stroke-linejoin="round">`,
    shapeOf(category),
    '</g></svg>',
  ].join('')
}

/** One silhouette per family of categories, around the origin; unknown categories get one by their name. */
const shapes = {
  vessel:
    '<path d="M-90-50h180l-20 120a25 25 0 0 1-25 20h-90a25 25 0 0 1-25-20z"/><path d="M90-30h40v50h-48" fill="none"/>',
  plate: '<circle r="110"/><circle r="70" fill="none"/>',
  chair: '<path d="M-70-110h140v120h-140z"/><path d="M-85 10h170v40h-170z"/><path d="M-70 50v70M70 50v70"/>',
  textile: '<path d="M-110-80h220v160q-55-30-110 0t-110 0z"/><path d="M-110-30q55 30 110 0t110 0" fill="none"/>',
  lamp: '<path d="M-40-110h80l50 100h-180z"/><path d="M0-10v110M-55 110h110"/>',
  plant:
    '<path d="M-60 20h120l-15 90h-90z"/><path d="M0 20c-10-60-70-60-80-110 60 0 80 40 80 110 0-60 30-110 85-120 0 60-45 90-85 120z"/>',
  box: '<path d="M-100-60l100-45 100 45v115l-100 50-100-50z"/><path d="M-100-60l100 45 100-45M0-15v120" fill="none"/>',
  jar: '<rect x="-65" y="-60" width="130" height="160" rx="24"/><path d="M-50-95h100v35h-100z"/><path d="M-65 0h130v50h-130z" fill="none"/>',
  shirt: '<path d="M-40-100q40 40 80 0l80 50-30 55-40-20v125h-100v-125l-40 20-30-55z"/>',
  shoe: '<path d="M-110-60h70l40 60q110 10 110 60v20h-220z"/><path d="M-110 60h220" fill="none"/>',
  bag: '<path d="M-90-30h180l15 130h-210z"/><path d="M-45-30c0-90 90-90 90 0" fill="none"/>',
  tent: '<path d="M0-105l125 195h-250z"/><path d="M0-10l45 100h-90z" fill="none"/>',
  wheel:
    '<circle r="105" fill="none" stroke-width="16"/><circle r="22"/><path d="M0-105v210M-105 0h210M-74-74L74 74M74-74L-74 74" stroke-width="4"/>',
  weight:
    '<path d="M-60-12h120v24h-120z"/><rect x="-110" y="-60" width="50" height="120" rx="12"/><rect x="60" y="-60" width="50" height="120" rx="12"/>',
  blocks: '<rect x="-95" y="0" width="90" height="90"/><circle cx="52" cy="45" r="46"/><path d="M0-105l52 90h-104z"/>',
  pen: '<path d="M-20-115h40v160l-20 60-20-60z"/><path d="M-20-70h40M-20 45h40" fill="none"/>',
  paw: '<ellipse cy="45" rx="62" ry="50"/><circle cx="-75" cy="-15" r="26"/><circle cx="-28" cy="-65" r="28"/><circle cx="28" cy="-65" r="28"/><circle cx="75" cy="-15" r="26"/>',
}
type Shape = keyof typeof shapes

const shapeOfCategory: Record<string, Shape> = {
  kitchen: 'vessel',
  tableware: 'plate',
  'living-room': 'chair',
  bedroom: 'textile',
  bathroom: 'textile',
  lighting: 'lamp',
  garden: 'plant',
  storage: 'box',
  'candles-and-scents': 'jar',
  pantry: 'jar',
  shirts: 'shirt',
  knitwear: 'shirt',
  shoes: 'shoe',
  bags: 'bag',
  camping: 'tent',
  cycling: 'wheel',
  fitness: 'weight',
  toys: 'blocks',
  office: 'pen',
  pets: 'paw',
}

function shapeOf(category: string): string {
  const known = Object.hasOwn(shapeOfCategory, category) ? shapeOfCategory[category] : undefined
  if (known) return shapes[known]
  const all = Object.values(shapes)
  return all[hash('sha256', category, 'buffer').readUInt32BE(0) % all.length] ?? shapes.box
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Characters that XML cannot hold at all are dropped: with one of them the whole picture would not be drawn. */
function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
