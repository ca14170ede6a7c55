/** The first screen: what to open, who to be, what to try. At most 80 columns wide. */
import { hostname } from 'node:os'
import { join, relative } from 'node:path'
import { lookFileName, lookUrls } from './look.ts'
import type { StackOptions } from './options.ts'
import { addresses } from './requirements.ts'
import type { Stack } from './start.ts'

/** Where `npm run streams` and `npm run import` look for a shop. */
const defaultUrl = 'http://localhost:8080'

export function summary(stack: Stack, options: StackOptions, tookMs: number): string {
  const { url, accounts, sampleSku } = stack
  const rows = accounts.map(({ email, password, role }) => [email, password, purposes[role]])
  const inside = relative(process.cwd(), options.dataDir)
  const dataDir = inside.startsWith('..') ? options.dataDir : inside || '.'
  return [
    '',
    `Redis Shop is running (started in ${(tookMs / 1_000).toFixed(1)} s).`,
    '',
    'Open',
    `  ${url}/docs           the API reference; try requests there`,
    `  ${url}/api/products   the catalog`,
    ...elsewhere(options, new URL(url).port),
    ...debuggers(options),
    '',
    'Demo accounts',
    ...table(rows),
    '',
    'Try',
    `  curl -s '${url}/api/products?limit=3'`,
    `  curl -si ${url}/api/products/${sampleSku} | grep x-cache`,
    `  npm run streams -- list${url === defaultUrl ? '' : ` --url ${url}`}`,
    '',
    ...look(stack, dataDir),
    ...(options.verbose ? ['Processes', ...processes(stack), ''] : []),
    `Data, logs and passwords: ${dataDir}`,
    'All options: npm run demo -- --help   Stop: Ctrl-C',
    '',
  ].join('\n')
}

const purposes = { customer: 'customer', admin: 'administrator' }

/** The other names under which this shop is reached, or how to be reached. */
function elsewhere({ host = '127.0.0.1' }: StackOptions, port: string): string[] {
  if (host === '127.0.0.1' || host === '::1') return ['  From another machine: npm run demo -- --host 0.0.0.0']
  if (host !== '0.0.0.0' && host !== '::') return []
  const others = addresses().filter((address) => address !== '127.0.0.1')
  return [hostname(), ...others].map((name) => `  http://${name}:${port}/docs`)
}

/** What to paste before the lines under "Look at it", on the page of each pattern. */
function look(stack: Stack, dataDir: string): string[] {
  const { CACHE, STATE } = lookUrls(stack)
  const file = join(dataDir, lookFileName)
  return [
    'Look at the data, read only: see "Look at it" in libs/redis-kit/*/README.md',
    ...(CACHE === undefined ? [] : [`  CACHE=${CACHE}`]),
    ...(STATE === undefined ? [] : [`  STATE=${STATE}`]),
    `  . ${file}   sets them, ORDER_DB and SHOP`,
    '',
  ]
}

function debuggers({ inspect = [] }: StackOptions): string[] {
  return inspect.map(({ service, port }) => `  Debugger of ${service}: 127.0.0.1:${port}`)
}

function processes(stack: Stack): string[] {
  return table(stack.parts().map(({ name, port, pid, what }) => [name, `port ${port}`, `pid ${pid}`, what]))
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}
