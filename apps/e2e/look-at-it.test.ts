/**
 * The lines under "Look at it" on the pages of the patterns, as a person pastes them: redis-cli as the read-only user, psql read only.
 * Each must succeed, and print something unless its comment begins with "nothing".
 */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { addToCart, createCustomer, placeOrder, settled, someProducts } from './shopper.ts'
import { lookUrls, ownStack } from './stack.ts'

interface Line {
  command: string
  comment: string
}

const root = join(import.meta.dirname, '..', '..')
const lineTimeoutMs = 10_000
const pages = globSync('libs/{redis-kit,service-kit}/*/README.md', { cwd: root })
  .toSorted()
  .map((page) => ({ page, lines: linesOf(readFileSync(join(root, page), 'utf8')) }))
  .filter(({ lines }) => lines.length > 0)
const missing = ['redis-cli', 'psql'].filter((name) => spawnSync(name, ['--version']).error !== undefined)

test('each pattern with keys or tables has three to five lines, and each line says what one sees', () => {
  const patterns = pages.map(({ page }) => page.split('/').at(-2))
  expect(patterns).toEqual([
    ...['acl', 'cache', 'discovery', 'idempotency', 'lock', 'pubsub', 'rate-limit', 'session', 'stream'],
    ...['inbox', 'outbox'],
  ])
  for (const { page, lines } of pages) {
    expect({ page, count: lines.length }).toEqual({
      page,
      count: expect.toSatisfy((count) => count >= 3 && count <= 5),
    })
    for (const line of lines) expect({ page, ...line }).toMatchObject({ comment: expect.stringMatching(/^[\w"`]/) })
  }
})

describe.skipIf(!ownStack)('on a shop that was used', () => {
  // A session, a cart, an order and its events.
  beforeAll(async () => {
    const { shopper } = await createCustomer()
    const [product, another] = await someProducts(shopper, 2)
    await addToCart(shopper, product?.sku as string, 1)
    const { body } = await placeOrder(shopper)
    await settled(shopper, body.id)
    // Not the one that was bought: its stock changed, so the cache forgets it.
    await shopper.get(`/api/products/${another?.sku}`)
  })

  test.for(pages)('the lines of $page succeed and show something', ({ lines }, { skip }) => {
    const needed = missing.filter((name) => lines.some(({ command }) => command.includes(name)))
    if (needed.length > 0) skip(`${needed.join(' and ')} is not on this machine`)
    for (const result of run(lines)) expect(result).toEqual({ ...result, ...wanted(result.line) })
  })

  test('a line that is refused, fails or shows nothing is noticed', () => {
    const results = run([
      { command: 'redis-cli -u $STATE del order:cart:x', comment: 'refused' },
      { command: 'redis-cli -u $STATE xlen', comment: 'fails' },
      { command: "key=$(redis-cli -u $STATE --scan --pattern 'no:such:*' | head -1)", comment: 'finds no key' },
      { command: 'redis-cli -u $STATE get user:rate-limit:sign-in:{x}', comment: 'empty' },
      { command: 'redis-cli -u $STATE get user:rate-limit:sign-in:{x}', comment: 'nothing' },
    ])
    const areGood = results.map(
      (result) => wanted(result.line).shown.asymmetricMatch(result.shown) && result.status === 0,
    )
    expect(areGood).toEqual([false, false, false, false, true])
  })
})

interface Result {
  line: Line
  status: number
  /** What it printed; for `name=$(…)` the value. */
  shown: string
  error: string
}

function wanted({ comment }: Line) {
  return { status: 0, shown: comment.startsWith('nothing') ? expect.anything() : expect.stringMatching(/\S/) }
}

/** One shell for all lines, because later ones use variables of earlier ones. */
function run(lines: readonly Line[]): Result[] {
  const urls = Object.entries(lookUrls).map(([name, url]) => `${name}='${url}'`)
  // -e: an error reply is a failure. The warning about a password on the command line is for people.
  const setUp = [...urls, 'redis-cli() { command redis-cli -e --no-auth-warning "$@"; }']
  return lines.map((line, index) => {
    const before = lines.slice(0, index).filter(({ command }) => variableOf(command) !== undefined)
    const variable = variableOf(line.command)
    const script = [
      ...setUp,
      ...before.map(({ command }) => command),
      line.command,
      ...(variable === undefined ? [] : [`echo "$${variable}"`]),
    ]
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script.join('\n')], {
      encoding: 'utf8',
      timeout: lineTimeoutMs,
    })
    return { line, status: status ?? -1, shown: stdout.trim(), error: stderr.trim() }
  })
}

function variableOf(command: string): string | undefined {
  return /^(\w+)=\$\(/.exec(command)?.[1]
}

/** The shell block under the heading. */
function linesOf(page: string): Line[] {
  const [, section = ''] = page.split(/^## Look at it$/m)
  const [, block = ''] = /```sh\n(.*?)```/s.exec(section.split(/^## /m)[0] ?? '') ?? []
  return block
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, command = line, comment = ''] = /^(.*?)\s+# (.*)$/.exec(line) ?? []
      return { command, comment }
    })
}
