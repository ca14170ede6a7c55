/** The run of CI, and what the fuzzer itself must be able to see. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createJudge } from './fuzz/findings.ts'
import type { Operation } from './fuzz/operations.ts'
import { type FuzzRequest, requestsOf } from './fuzz/requests.ts'

const root = join(import.meta.dirname, '..')
const node = join(root, 'node_modules/.bin/node')
const run = (...args: string[]) =>
  spawnSync(node, ['tools/fuzz.ts', ...args], { cwd: root, encoding: 'utf8', timeout: 400_000 })

it('2,000 wrong requests over every route find nothing', { timeout: 420_000 }, () => {
  const { status, stdout, stderr } = run('--requests', '2000')
  expect(stdout.split('\n').slice(-120).join('\n') + stderr.slice(-2_000)).toContain('\n0 findings\n')
  expect(status).toBe(0)
})

it('a wrong option is said in one line', () => {
  expect(run('--requests', 'many')).toMatchObject({ status: 2, stderr: expect.stringContaining('--requests must be') })
  expect(run('--help').status).toBe(0)
})

const operation: Operation = {
  name: 'POST /api/things/{sku}',
  method: 'POST',
  path: '/api/things/{sku}',
  parameters: [{ name: 'sku', in: 'path', required: true, schema: { type: 'string' } }],
  bodies: [
    ['application/json', { type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 1 } } }],
  ],
  answers: new Map([[200, { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } }]]),
}

describe('requests', () => {
  const sample = (seed: number) => fc.sample(requestsOf([operation], { sku: ['A-1'] }), { seed, numRuns: 500 })

  it('are the same for the same seed', () => {
    expect(sample(7)).toEqual(sample(7))
    expect(sample(7)).not.toEqual(sample(8))
  })

  it('are right often enough to get through, and wrong in every part', () => {
    const texts = sample(1).map(({ target, body, headers }) => ({
      target,
      body: String(body),
      names: headers.map(([name]) => name),
    }))
    expect(texts.some(({ target, body }) => target === '/api/things/A-1' && /^\{"n":\d+\}$/.test(body))).toBe(true)
    expect(texts.some(({ body }) => body.includes('__proto__'))).toBe(true)
    expect(texts.some(({ target }) => target.includes('%00'))).toBe(true)
    expect(texts.some(({ names }) => names.filter((name) => name === 'cookie').length > 0)).toBe(true)
  })
})

describe('the judge', () => {
  const { problemsOf } = createJudge()
  const request: FuzzRequest = {
    operation,
    role: 'guest',
    method: 'POST',
    target: '/api/things/A-1',
    headers: [],
    isMalformed: false,
  }
  const problem = { 'content-type': 'application/problem+json' }
  const json = { 'content-type': 'application/json' }

  it.each([
    ['nothing', { status: 200, headers: json, body: '{"n":1}' }, []],
    [
      'a 5xx',
      { status: 503, headers: problem, body: '{"status":503,"code":"x"}' },
      ['status 503', 'status 503 is undocumented'],
    ],
    ['a hang', { status: -1, headers: {}, body: '' }, ['no answer in time']],
    ['a lost connection', { status: 0, headers: {}, body: '' }, ['the connection ended without an answer']],
    [
      'a stack',
      { status: 200, headers: json, body: '{"n":1,"x":"at file:///shop/app.ts:1:2"}' },
      ['the answer contains a stack trace'],
    ],
    [
      'a refusal in HTML',
      { status: 400, headers: { 'content-type': 'text/html' }, body: 'no' },
      ['the refusal is not problem+json'],
    ],
    [
      'a problem without code',
      { status: 400, headers: problem, body: '{"status":400}' },
      ['the problem has no code, or its status differs'],
    ],
    [
      'an undescribed status',
      { status: 418, headers: problem, body: '{"status":418,"code":"x"}' },
      ['status 418 is undocumented'],
    ],
    [
      'another answer than described',
      { status: 200, headers: json, body: '{"n":"1"}' },
      ['/n of the answer must be integer'],
    ],
  ])('sees %s', (_, answer, problems) => expect(problemsOf(request, answer)).toEqual(problems))
})
