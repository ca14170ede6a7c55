/** The command line of `npm run demo`. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export const maxProductCount = 100_000

export interface StackOptions {
  /** Of the gateway, the only port that is fixed. 0 takes a free one. */
  port: number
  /** Where databases, logs and generated secrets stay between starts. */
  dataDir: string
  seed: boolean
  productCount: number
  /** Throw away the data folder first. */
  fresh: boolean
  /** Restart a service when its files change. */
  watch: boolean
  /** Print one line of JSON on standard output when the shop is open, for programs. */
  json: boolean
}

export const help = `Start the whole shop on this machine, without Docker: Postgres, two Redis servers, all services.

  npm run demo -- [options]

  --port N       port of the gateway, the only one that is fixed   (default 8080, 0: a free one)
  --products N   size of the catalogue, up to ${maxProductCount}             (default 1000)
  --no-seed      leave the databases as they are
  --fresh        throw away the data of earlier starts first
  --data DIR     where data, logs and generated passwords stay     (default .data)
  --watch        start a service again when its files change       (npm run dev)
  --json         one line of JSON instead of the table, for programs
  --help         this text

Ctrl-C stops all of it. A process that dies is started again.
`

/** Throws an Error with a sentence for the person who typed it. */
export function parseOptions(args: readonly string[]): StackOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      port: { type: 'string', default: '8080' },
      products: { type: 'string', default: '1000' },
      seed: { type: 'boolean', default: true },
      fresh: { type: 'boolean', default: false },
      data: { type: 'string', default: '.data' },
      watch: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  return {
    port: integer('--port', values.port, 0, 65_535),
    productCount: integer('--products', values.products, 1, maxProductCount),
    seed: values.seed,
    fresh: values.fresh,
    dataDir: resolve(values.data),
    watch: values.watch,
    json: values.json,
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new Error(`${name} takes a whole number from ${min} to ${max}, not "${text}".`)
  }
  return value
}
