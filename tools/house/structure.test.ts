/** The rules of the house hold in this checkout, and a planted fault of each kind is found by name. */
import { expect, test } from 'vitest'
import { root } from '../command-line/run.ts'
import { type Checkout, readCheckout } from './checkout.ts'
import { exceptions } from './exceptions.ts'
import { importGraph } from './graph.ts'
import { breaches, type Exceptions } from './structure.ts'

const checkout = readCheckout(root)
const graph = importGraph(checkout)

/** The breaches of this checkout with some files added or replaced, in memory. */
function breachesWith(files: Record<string, string>, allowed: Exceptions = exceptions): string[] {
  const changed: Checkout = { ...checkout, sources: new Map([...checkout.sources, ...Object.entries(files)]) }
  return breaches(changed, importGraph(changed, { checkout, graph }), allowed)
}

test('no import rings, no folder of more than 12 production files, no production file that only tests use', () => {
  expect(breachesWith({})).toEqual([])
})

test('a ring is reported with its files, when only types are imported too', () => {
  const files = {
    'apps/user/first.ts': "import type { Second } from './second.ts'\nexport type First = Second",
    'apps/user/second.ts': "export type Second = import('./third.ts').Third",
    'apps/user/third.ts': "export type { First as Third } from './first.ts'",
    'apps/user/planted.test.ts': "import './first.ts'",
  }
  expect(breachesWith(files)).toContain(
    'import each other in a ring: apps/user/first.ts, apps/user/second.ts, apps/user/third.ts',
  )
})

test('a ring through two packages is reported', () => {
  const files = {
    'libs/redis-kit/retry/planted.ts': "import '@shop/service-kit/planted'",
    'libs/service-kit/planted.ts': "import '@shop/redis-kit/retry'",
    'libs/redis-kit/retry/retry.ts': `import './planted.ts'\n${checkout.sources.get('libs/redis-kit/retry/retry.ts')}`,
  }
  expect(breachesWith(files)).toContainEqual(
    expect.stringMatching(
      /ring: libs\/redis-kit\/retry\/planted\.ts, libs\/redis-kit\/retry\/retry\.ts, .*libs\/service-kit\/planted\.ts/,
    ),
  )
})

test('a folder of 13 production files is reported; its tests and fixtures do not count', () => {
  const names = Array.from({ length: 13 }, (_, index) => `apps/user/planted/file-${index}`)
  const [first = '', ...rest] = names
  const twelve = rest.map((name) => [`${name}.ts`, ''])
  const folders = (files: string[][]) =>
    breachesWith(Object.fromEntries(files)).filter((breach) => breach.includes('production files'))
  expect(folders([...twelve, [`${first}.test.ts`, ''], [`${first}.fixture.ts`, '']])).toEqual([])
  expect(folders([...twelve, [`${first}.ts`, '']])).toEqual([
    'apps/user/planted has 13 production files, at most 12 are allowed',
  ])
})

test('a production file that only a test imports is reported, and what it alone imports', () => {
  const files = {
    'apps/user/planted.ts': "import './deeper.ts'",
    'apps/user/deeper.ts': '',
    'apps/user/planted.test.ts': "import './planted.ts'",
  }
  expect(breachesWith(files)).toEqual([
    'apps/user/planted.ts is used by tests only, or by nothing',
    'apps/user/deeper.ts is used by tests only, or by nothing',
  ])
})

test('a file that a dynamic import or a path in a production file names is in use', () => {
  const main = checkout.sources.get('apps/user/main.ts')
  const files = {
    'apps/user/main.ts': `${main}\nimport('./planted.ts'); fork(new URL('./child.ts', import.meta.url))`,
    'apps/user/planted.ts': '',
    'apps/user/child.ts': '',
  }
  expect(breachesWith(files)).toEqual([])
})

test('an exception that is no longer needed is reported', () => {
  const stale: Exceptions = {
    rings: { ...exceptions.rings, 'apps/user/app.ts': 'planted' },
    folders: { ...exceptions.folders, 'apps/user': 'planted' },
    unreached: { ...exceptions.unreached, 'apps/user/main.ts': 'planted' },
  }
  expect(breachesWith({}, stale)).toEqual([
    'the exception for apps/user/app.ts is no longer needed',
    'the exception for apps/user is no longer needed',
    'the exception for apps/user/main.ts is no longer needed',
  ])
})

test('each exception has a reason', () => {
  const reasons = [exceptions.rings, exceptions.folders, exceptions.unreached].flatMap((list) => Object.values(list))
  expect(reasons.filter((reason) => reason.split(' ').length < 5 || /^temporary/i.test(reason))).toEqual([])
})

test('an import of a file that does not exist is an error with both names', () => {
  expect(() => breachesWith({ 'apps/user/planted.ts': "import './absent.ts'" })).toThrow(
    'apps/user/planted.ts imports ./absent.ts, which does not exist',
  )
})
