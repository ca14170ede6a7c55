import { expect, it } from 'vitest'
import { draw } from './chart.ts'
import { makeResult } from './result.fixture.ts'

const svg = draw(makeResult())

it('the picture has a title and says in words what it shows', () => {
  expect(svg).toContain('role="img" aria-labelledby="title desc"')
  expect(svg).toContain('<title id="title">Reads of something</title>')
  expect(svg).toMatch(/<desc id="desc">Reads: ours .* 0\.75x · 70\.0 k\/s, /)
})

it('a bar is as long as its figure is large', () => {
  const widths = [...svg.matchAll(/<rect class="(ours|limit|bar)" x="\d+" y="\d+" width="([\d.]+)" height="17"/g)]
  const [ours, limit, other] = widths.map(([, , width]) => Number(width))
  expect((ours as number) / (limit as number)).toBeCloseTo(0.75, 2)
  expect(other).toBeLessThan(10)
})

it('names are text, whatever characters are in them', () => {
  expect(svg).not.toContain('<&>')
  expect(svg).toContain('ours &#60;&#38;&#62;')
})

it('it is readable in dark surroundings too, and needs nothing from outside', () => {
  expect(svg).toContain('prefers-color-scheme: dark')
  expect(svg).not.toMatch(/href|url\(|<script/)
})
