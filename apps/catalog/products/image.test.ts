import { describe, expect, it } from 'vitest'
import { drawProduct } from './image.ts'

const kettle = { sku: 'KIT-00001', name: 'Kettle', category: 'kitchen' }

describe('product pictures', () => {
  it('are the same for the same product and different for different ones', () => {
    expect(drawProduct(kettle)).toBe(drawProduct({ ...kettle }))
    expect(drawProduct(kettle)).not.toBe(drawProduct({ ...kettle, sku: 'KIT-00002' }))
    expect(drawProduct(kettle)).not.toBe(drawProduct({ ...kettle, category: 'toys' }))
  })

  it('say the name and cannot be made to say anything else', () => {
    const name = `Salt & "Pepper" </title><script>alert('1')</script>\u0007`
    const svg = drawProduct({ ...kettle, name })
    expect(svg).toContain(
      '<title id="title">Salt &amp; &quot;Pepper&quot; &lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;</title>',
    )
    expect(svg).not.toContain('<script')
  })

  it('are drawn for categories that nobody has thought of', () => {
    for (const category of ['new-things', 'constructor', '__proto__']) {
      expect(drawProduct({ ...kettle, category })).toMatch(/^<svg .*<\/svg>$/)
    }
  })
})
