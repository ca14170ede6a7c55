import { expect, test } from 'vitest'
import type { StackOptions } from './options.ts'
import type { Stack } from './start.ts'
import { summary } from './summary.ts'

const options: StackOptions = {
  ...{ port: 8080, seed: true, productCount: 1_000, fresh: false, watch: false, json: false },
  dataDir: `${process.cwd()}/.data`,
}
const password = 'a'.repeat(20)
const stack = {
  url: 'http://localhost:65535',
  accounts: [
    { email: 'ada@example.com', name: 'Ada Lovelace', role: 'customer', password },
    { email: 'admin@example.com', name: 'Shop Admin', role: 'admin', password },
  ],
  viewerUrls: {
    cache: `redis://viewer:${password}@127.0.0.1:65535`,
    state: `redis://viewer:${password}@127.0.0.1:65535`,
  },
  databaseUrls: { order: `postgres://order:${'a'.repeat(48)}@127.0.0.1:65535/order` },
  sampleSku: 'CAN-00001',
  parts: () => [
    { name: 'redis-state', port: 65_535, pid: 4_194_304, what: 'sessions, carts, streams; kept on disk' },
    { name: 'catalog-1', port: 65_535, pid: 4_194_304, what: 'registered in Redis' },
  ],
} as unknown as Stack

test('the first screen says what to open, who to be and what to try, in 80 columns', () => {
  const text = summary(stack, options, 12_345)
  expect(text.match(/^\w[\w ]*$/gm)).toEqual(['Open', 'Demo accounts', 'Try'])
  expect(text).not.toContain('pid ')
  for (const host of ['127.0.0.1', '0.0.0.0', '192.168.178.100']) {
    const inspect = [{ service: 'catalog-1', port: 9229 }]
    const wide = summary(stack, { ...options, host, inspect, verbose: true }, 12_345).split('\n')
    expect(wide.filter((line) => line.length > 80)).toEqual([])
  }
})

test('it says how to be reached from another machine, or under which names it is', () => {
  expect(summary(stack, options, 1)).toContain('--host 0.0.0.0')
  expect(summary(stack, { ...options, host: '0.0.0.0' }, 1)).toMatch(/^ {2}http:\/\/[\w.-]+:65535\/docs$/m)
})

test('the commands to try find the shop on its port', () => {
  const at = (url: string) => summary({ ...stack, url }, options, 1)
  expect(at('http://localhost:8080')).toMatch(/^ {2}npm run streams -- list$/m)
  expect(at('http://localhost:8081')).toMatch(/^ {2}npm run streams -- list --url http:\/\/localhost:8081$/m)
})

test('the variables for those who look at the data can be pasted, without a server that is not of the demo', () => {
  expect(summary(stack, options, 1).match(/^ {2}[A-Z_]+=\S+$/gm)).toEqual([
    `  CACHE=redis://viewer:${password}@127.0.0.1:65535`,
    `  STATE=redis://viewer:${password}@127.0.0.1:65535`,
  ])
  expect(summary(stack, options, 1)).toContain('  . .data/look.env ')
  expect(summary({ ...stack, viewerUrls: {} }, options, 1)).not.toContain('viewer')
})

test('every address under "Open" leads to a page', () => {
  const text = summary(stack, { ...options, host: '0.0.0.0' }, 1)
  const [, open = ''] = /^Open\n(.*?)\n\n/ms.exec(text) ?? []
  const paths = [...open.matchAll(/http:\S+/g)].map(([address]) => new URL(address).pathname)
  expect(paths.length).toBeGreaterThan(2)
  expect(paths.filter((path) => path !== '/docs' && path !== '/api/products')).toEqual([])
})
