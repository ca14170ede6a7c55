/** The drawings of a run: the one that docs/rate-limit-lab.md shows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Burst } from '@shop/redis-kit/rate-limit/lab'
import { describe, expect, test } from 'vitest'
import { root } from '../command-line/run.ts'
import { draw } from './picture.ts'
import { type PlotOptions, plot, plotOptionsOf } from './plot.ts'
import { columnWidthMs, countPerColumn } from './text.ts'

const folder = join(root, 'docs/rate-limit-lab')
const bursts: Burst[] = JSON.parse(readFileSync(join(folder, 'bursts.json'), 'utf8'))
const edge = named('edge')
const plain: PlotOptions = { width: 80, isUnicode: false, isColoured: false }

function named(name: Burst['experiment']): Burst {
  const found = bursts.find(({ experiment }) => experiment === name)
  if (!found) throw new Error(`bursts.json has no ${name}`)
  return found
}

function rowOf(text: string, label: string): string {
  return text.split('\n').find((line) => line.startsWith(label)) ?? ''
}

/** The run with the first row wrong at its first request. */
function withDeviation(burst: Burst): Burst {
  const [first, ...others] = burst.rows
  if (!first) throw new Error('no rows')
  const wrong = { ...first, deviations: [{ atMs: 5, wasAdmitted: true }], hasComeOut: false }
  return { ...burst, hasComeOut: false, rows: [wrong, ...others] }
}

describe('in a terminal', () => {
  test('six rows stand under one axis, with the numbers in a box', () => {
    const text = plot(edge, plain)
    for (const label of ['fixed window', 'sliding log', 'sliding counter', 'token bucket', 'GCRA', 'leaky queue']) {
      expect(text.split('\n').filter((line) => line.startsWith(label))).toHaveLength(1)
    }
    expect(text).toContain(`| fixed window    |       40 |       40 |              40 | as expected`)
    expect(text).toContain('1200 ms')
  })

  test('the counts of a row, read back from ASCII, are its admissions', () => {
    const counts = [...rowOf(plot(edge, plain), 'leaky queue').slice(17)].map(Number).filter((count) => count > 0)
    expect(counts.reduce((sum, count) => sum + count)).toBe(23)
  })

  test.each([60, 80, 100, 200, 20])('at %i columns a line of the plot fits, or is 60 wide', (width) => {
    for (const burst of bursts) {
      const rows = plot(burst, { ...plain, width })
        .split('\n')
        .filter((line) => /^(requests|GCRA|\s+[-|])/.test(line))
      expect(rows.length).toBeGreaterThanOrEqual(3)
      expect(rows.filter((line) => line.length > Math.max(60, width))).toEqual([])
    }
  })

  test('at 80 columns no line is longer', () => {
    const texts = bursts.map((burst) => plot({ ...burst, isOnTime: false, attempts: 3 }, plain))
    expect(texts.flatMap((text) => text.split('\n')).filter((line) => line.length > 80)).toEqual([])
  })

  test('plain text has ASCII only and no escapes; a terminal gets blocks and colours', () => {
    expect(plot(edge, plain)).toMatch(/^[\x20-\x7e\n]+$/)
    const rich = plot(edge, { width: 80, isUnicode: true, isColoured: true })
    expect(rich).toMatch(/█/)
    expect(rich).toContain('\x1b[')
  })

  test('a wrong decision is named with its algorithm and its time', () => {
    const text = plot(withDeviation(edge), plain)
    expect(text).toContain('WRONG')
    expect(text).toContain('fixed window: the request at 5 ms was admitted wrongly.')
  })

  test('a late machine is named', () => {
    expect(plot({ ...edge, isOnTime: false, attempts: 3 }, plain)).toContain('Late in 3 attempts')
  })

  test.each([
    [{ isTTY: true }, { LANG: 'en_US.UTF-8' }, true],
    [{ isTTY: true }, { LANG: 'C' }, false],
    [{ isTTY: true }, { LC_ALL: 'C', LANG: 'en_US.UTF-8' }, false],
    [{ isTTY: false }, { LANG: 'en_US.UTF-8' }, false],
  ])('a stream %o with %o shows blocks: %s', (stream, env, isUnicode) => {
    expect(plotOptionsOf(Object.assign(new PassThrough(), stream), env)).toMatchObject({ isUnicode })
  })
})

describe('as a picture', () => {
  test.each(bursts)('docs/rate-limit-lab has the picture of its own data: $experiment', (burst) => {
    expect(readFileSync(join(folder, `${burst.experiment}.svg`), 'utf8')).toBe(draw(burst))
  })

  test('it has a title and says in words what it shows', () => {
    const svg = draw(edge)
    expect(svg).toContain('role="img" aria-labelledby="title desc"')
    expect(svg).toContain('<title id="title">200 requests in the 200 ms around a window\'s edge</title>')
    expect(svg).toMatch(/<desc id="desc">.*fixed window 40 of 200, at most 40 in any second; .*<\/desc>/)
  })

  test('it is readable in dark surroundings, and needs nothing from outside', () => {
    expect(draw(edge)).toContain('prefers-color-scheme: dark')
    expect(draw(edge)).not.toMatch(/href|url\(|<script/)
  })

  test('without colour the lines differ by their dashes', () => {
    const dashes = edge.rows.map(({ algorithm }) => {
      const [, rule = ''] = new RegExp(`\\.${algorithm} \\{ ([^}]*) \\}`).exec(draw(edge)) ?? []
      return rule.replace(/stroke: [^;]+;? ?/, '')
    })
    expect(new Set(dashes).size).toBe(edge.rows.length)
  })

  test('names are text, whatever characters are in them', () => {
    const svg = draw({ ...edge, title: 'a <b> & "c"' })
    expect(svg).toContain('a &#60;b&#62; &#38; &#34;c&#34;')
    expect(svg).not.toContain('<b>')
  })

  test('a run with a wrong decision says so', () => {
    expect(draw(withDeviation(edge))).toContain('are NOT those of a reference')
  })
})

test('columns have a round width, and hold every instant once', () => {
  expect([columnWidthMs(1_200, 62), columnWidthMs(6_000, 62), columnWidthMs(6_000, 130)]).toEqual([20, 100, 50])
  expect(countPerColumn([0, 19.9, 20, 99, 500], 100, 20)).toEqual([2, 1, 0, 0, 2])
})
