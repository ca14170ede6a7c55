/** The policy file: the one of the shop, and what is said of one with mistakes. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '@shop/service-kit/process/config'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { routeClasses } from '../../routes.ts'
import { bulkheadOf, policiesOf } from '../policy.ts'
import { defaultPolicyFile, parsePolicies, readPolicyFile } from './policy-file.ts'

const bulkheads = [{ routes: 'all', maxConcurrent: 10, maxConcurrentPerAddress: 5, bodyMaxBytes: '1MiB' }]
const sound = { name: 'address', algorithm: 'gcra', limit: '200 per 1s', role: 'cache', onUnavailable: 'local' }

/** A table with one policy, changed in the named fields; undefined leaves a field out. */
function withPolicy(changes: Record<string, unknown> = {}, dimension = 'address') {
  const policy = Object.fromEntries(Object.entries({ ...sound, ...changes }).filter(([, value]) => value !== undefined))
  return withRules([{ routes: 'all', dimension, policies: [policy] }])
}
function withRules(rules: unknown) {
  return stringify({ rules, bulkheads, maxConnectionsPerAddress: 100 }, { aliasDuplicateObjects: false })
}
const problemsIn = (text: string) => parsePolicies(text).problems.map(({ line, reason }) => `${line}: ${reason}`)

describe('the file of the shop', () => {
  it('is sound, and has an address throttle and a bulkhead for every class', async () => {
    const table = await readPolicyFile(defaultPolicyFile)
    for (const one of routeClasses) {
      expect(policiesOf(table, one).map(({ dimension }) => dimension)).toContain('address')
      expect(bulkheadOf(table, one).maxConcurrent).toBeGreaterThan(0)
    }
  })

  it('shows the first match: sign-in has its own limits per address and not the general one', async () => {
    const table = await readPolicyFile(defaultPolicyFile)
    const ofAddress = (one: 'sign-in' | 'browse') =>
      policiesOf(table, one).flatMap(({ dimension, policy }) => (dimension === 'address' ? [policy.name] : []))
    expect(ofAddress('sign-in')).toEqual(['sign-in-address', 'sign-in-address-day'])
    expect(ofAddress('browse')).toEqual(['address'])
  })
})

it('a sound policy becomes numbers', () => {
  const policies = (text: string) => parsePolicies(text).source?.rules[0]?.policies
  expect(policies(withPolicy({ limit: '5 per 30d', burst: 2, cost: 2 }))).toEqual([
    { ...sound, limit: { count: 5, periodMs: 2_592_000_000 }, burst: 2, cost: 2 },
  ])
  expect(policies(withPolicy({ limit: '5 per 8.2m' }))).toMatchObject([{ limit: { periodMs: 492_000 } }])
  expect(policies(withPolicy({ limit: 'own quota per day' }, 'api-key'))).toMatchObject([{ limit: { perKey: 'day' } }])
})

it.each([
  ['limit 0', { limit: '0 per 1s' }, '7: the count of the limit must be a whole number of at least 1, not 0'],
  ['a fraction', { limit: '0.5 per 1s' }, '7: the count of the limit must be a whole number of at least 1, not 0.5'],
  [
    'a negative limit',
    { limit: '-1 per 1s' },
    '7: the count of the limit must be a whole number of at least 1, not -1',
  ],
  ['a period over a year', { limit: '5 per 367d' }, '7: the period of the limit must be at most 366d'],
  ['an endless period', { limit: `5 per ${'9'.repeat(400)}d` }, '7: the period of the limit must be at most 366d'],
  ['a period of nothing', { limit: '5 per 0.5ms' }, '7: the period of the limit must be at least 1ms'],
  [
    'a fraction of a millisecond',
    { limit: '5 per 1.5ms' },
    '7: the period of the limit must be a whole number of milliseconds',
  ],
  [
    'a limit without a unit',
    { limit: '5 per 30' },
    '7: limit must be like "200 per 1s" (ms, s, m, h or d) or "own quota per minute" or "own quota per day", not "5 per 30"',
  ],
  ['burst below cost', { burst: 2, cost: 3 }, '10: burst 2 is below cost 3: never admitted'],
  ['a limit below cost', { limit: '2 per 1s', cost: 3 }, '7: the limit 2 is below cost 3: never admitted'],
  [
    'a count that no console shows',
    { algorithm: 'fixed-window', limit: '5000000000 per 30d' },
    '7: the count of the limit must be at most 1000000000, not 5000000000',
  ],
  ['burst 0', { burst: 0 }, '10: burst must be a whole number of at least 1, not 0'],
  ['cost 1.5', { cost: 1.5 }, '10: cost must be a whole number of at least 1, not 1.5'],
  [
    'a burst on a window',
    { algorithm: 'fixed-window', burst: 5 },
    '10: burst is for gcra and token-bucket: a fixed-window has none besides its count',
  ],
  [
    'an unknown algorithm',
    { algorithm: 'leaky' },
    '6: algorithm must be one of gcra, token-bucket, fixed-window, sliding-window-counter, sliding-window-log, not "leaky"',
  ],
  ['an unknown role', { role: 'disk' }, '8: role must be one of cache, state, not "disk"'],
  [
    'an unknown fail policy',
    { onUnavailable: 'maybe' },
    '9: onUnavailable must be one of open, closed, local, not "maybe"',
  ],
  [
    'an own quota of an address',
    { limit: 'own quota per day' },
    '7: only an api-key has an own quota, not the dimension address',
  ],
  ['a rate too fast for one key', { limit: '700000 per 1s' }, /^7: 700000 per 1000 ms is too fast/],
  ['a burst that takes years', { limit: '1 per 366d', burst: 2 }, /^7: a full burst takes \d+ ms to refill/],
  [
    'a name that no header can have',
    { name: 'Größe "x"' },
    '5: name "Größe \\"x\\"" must be 1 to 40 lower-case letters, digits and hyphens, and begin with a letter',
  ],
  [
    'the name of a burst',
    { name: 'address-burst' },
    '5: name "address-burst" must not end with -burst, which names a policy\'s burst in headers',
  ],
  [
    'a misspelled field',
    { brust: 5 },
    '10: unknown field "brust" in a policy: it may have name, algorithm, limit, role, onUnavailable, burst, cost',
  ],
  [
    'a rate that the limit of one process cannot keep',
    { algorithm: 'token-bucket', limit: '999983 per 1m' },
    '7: 999983 per 60000 ms is too fast: in whole microseconds per unit it would be 1.7 % slower',
  ],
  ['a missing field', { role: undefined }, '5: a policy lacks the field role'],
  ['text as a number', { burst: 'many' }, '10: burst must be a number, not "many"'],
])('%s is refused with its line', (_, changes, expected) => {
  const [first, ...others] = problemsIn(withPolicy(changes))
  expect(first).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected))
  expect(others).toEqual([])
})

it('an own quota excludes a burst and a cost', () => {
  const text = withPolicy({ limit: 'own quota per day', burst: 5, cost: 2 }, 'api-key')
  expect(problemsIn(text)).toEqual([
    '10: burst cannot be set beside an own quota, which differs per key',
    '11: cost cannot be set beside an own quota, which counts requests',
  ])
})

it('an own quota needs an algorithm that can keep the largest quota of a key', () => {
  const log = { algorithm: 'sliding-window-log', limit: 'own quota per minute' }
  expect(problemsIn(withPolicy(log, 'api-key'))).toEqual([
    '7: a key may have 60000 per minute: limit.count of a log must be at most 10000: each unit is a member in memory',
  ])
})

it('every mistake of a file is reported, in the order of the lines', () => {
  const broken = { routes: ['browse', 'brows'], dimension: 'ip', policies: [{ ...sound, limit: '0 per 1s' }], note: 1 }
  expect(problemsIn(withRules([broken, 5]))).toEqual([
    '4: route class must be one of browse, sign-in, register, account, cart, checkout, orders, stream, admin, import, docs, unknown, not "brows"',
    '5: dimension must be one of address, user, session, api-key, route, not "ip"',
    '12: unknown field "note" in a rule: it may have routes, dimension, policies',
    '13: a rule must have fields: routes, dimension, policies',
  ])
})

it('a name used twice, and a rule that can never match, are refused', () => {
  const rule = (routes: unknown, name: string) => ({ routes, dimension: 'address', policies: [{ ...sound, name }] })
  expect(problemsIn(withRules([rule(['cart'], 'a'), rule('all', 'b'), rule(['browse', 'cart'], 'a')]))).toEqual([
    '19: this rule never matches: earlier rules of the dimension address contain all of its routes',
    '24: the name "a" is used twice',
  ])
})

it('bulkheads must contain each class, none of them may be shadowed, and one address may not have more than all', () => {
  const text = (list: unknown[]) => stringify({ rules: [], bulkheads: list, maxConnectionsPerAddress: 1 })
  const [all] = bulkheads
  const problems = problemsIn(
    text([
      { ...all, maxConcurrentPerAddress: 11 },
      { ...all, routes: ['browse'] },
    ]),
  )
  expect(problems).toEqual([
    '1: rules must be a list that is not empty',
    '3: maxConcurrentPerAddress is above maxConcurrent',
    '7: this bulkhead never matches: earlier ones contain all of its routes',
  ])
  expect(problemsIn(text([{ ...all, bodyMaxBytes: '2MiB', routes: ['import', 'cart'] }, all]))).toContain(
    '3: bodyMaxBytes must be at most 1MiB for bodies that are buffered: cart',
  )
  // The classes of a bulkhead with a mistake are contained: its mistake alone is reported.
  expect(problemsIn(text([{ ...all, maxConcurrent: -1 }]))).toEqual([
    '1: rules must be a list that is not empty',
    '4: maxConcurrent must be a whole number of at least 1, not "-1"',
  ])
  const others = routeClasses.filter((one) => one !== 'docs')
  expect(problemsIn(text([{ ...all, routes: others }]))).toContain('2: no bulkhead contains docs')
})

it.each([
  ['duplicate keys', 'rules: []\nrules: []\n', ['2: Map keys must be unique']],
  ['broken YAML', 'rules:\n  - [\n', [expect.stringMatching(/^\d: /)]],
  ['an empty file', '', ['1: the file must have fields: rules, bulkheads, maxConnectionsPerAddress']],
  ['a list', '- 1\n', ['1: the file must have fields: rules, bulkheads, maxConnectionsPerAddress']],
  ['two documents', 'a: 1\n---\nb: 1\n', [expect.stringMatching(/^2: .*documents/)]],
  ['a tag', 'a: !!js/function x\n', [expect.stringMatching(/^1: /)]],
  ['deep nesting', '['.repeat(100_000), [expect.stringMatching(/^1: /)]],
])('%s: refused', (_, text, expected) => {
  expect(problemsIn(text).slice(0, 1)).toEqual(expected)
})

it('an alias bomb is refused without being expanded', () => {
  const levels = Array.from(
    { length: 30 },
    (_, level) => `a${level + 1}: &a${level + 1} [*a${level}, *a${level}, *a${level}]`,
  )
  const startedMs = performance.now()
  expect(problemsIn(['a0: &a0 lol', ...levels].join('\n'))).toContain('2: the alias *a0 must be written out')
  expect(performance.now() - startedMs).toBeLessThan(5_000)
})

it('no text ends in an exception, and each problem names a line of it', () => {
  const words = [
    'rules',
    'bulkheads',
    'routes',
    'all',
    'name',
    'limit',
    '200 per 1s',
    ':',
    '-',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    '&a',
    '*a',
    '"',
    '0',
  ]
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...words), { maxLength: 40 }).map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(text, (yaml) => {
      const { source, problems } = parsePolicies(yaml)
      const lineCount = yaml.split(/\r\n|\r|\n/).length
      return source !== undefined || problems.every(({ line }) => line >= 1 && line <= lineCount)
    }),
    { numRuns: 2_000 },
  )
})

describe('a file that cannot be used', () => {
  const refusalOf = (path: string) =>
    readPolicyFile(path).then(
      () => [],
      (error) => (error instanceof ConfigError ? error.problems : [String(error)]),
    )

  it('is a ConfigError that names the file and each line', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'))
    const path = join(folder, 'limits.yaml')
    await writeFile(path, withPolicy({ limit: '0 per 1s', cost: 0 }))
    expect(await refusalOf(path)).toEqual([
      `${path}:7: the count of the limit must be a whole number of at least 1, not 0`,
      `${path}:10: cost must be a whole number of at least 1, not 0`,
    ])
    await writeFile(path, `# ${'x'.repeat(300_000)}`)
    expect(await refusalOf(path)).toEqual([`${path}:1: the file is larger than 262144 bytes`])
    expect(await refusalOf(folder)).toEqual([expect.stringContaining('cannot be read: EISDIR')])
    await rm(folder, { recursive: true })
    expect(await refusalOf(path)).toEqual([expect.stringContaining('cannot be read: ENOENT')])
  })

  it('is refused at once when it is a pipe into which nothing is written', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'))
    const path = join(folder, 'limits.yaml')
    execFileSync('mkfifo', [path])
    expect(await refusalOf(path)).toEqual([expect.stringContaining(':1: the file must have fields: rules')])
    await rm(folder, { recursive: true })
  })
})
