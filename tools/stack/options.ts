/** The command line of `npm run demo`. */
import { resolve } from 'node:path'
import { parseArguments, wholeNumber } from '../command-line/arguments.ts'
import type { Harness } from './harness.ts'
import { findInstances } from './services/instances.ts'

export const maxProductCount = 100_000
const firstInspectPort = 9229

export interface StackOptions {
  /** Of the gateway, the only port that is fixed. 0 takes a free one. */
  port: number
  /** Address that the gateway listens on. @default 127.0.0.1 */
  host?: string
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
  /** Print also what runs where. @default false */
  verbose?: boolean
  /** Variables for services. @default none */
  env?: readonly ServiceVariable[]
  /** Services to open a debugger's port for. @default none */
  inspect?: readonly InspectedService[]
  /** Servers that exist, instead of those that the demo starts. @default none */
  servers?: ExistingServers
  /** How many failures in a row of one process are borne before it stays down. Kills at will need a high one. @default 10 */
  restartLimit?: number
  /** For a program that breaks the shop on purpose. @default none */
  harness?: Harness
}

export interface ServiceVariable {
  /** An app or an instance. @default all services */
  service?: string
  name: string
  value: string
}

export interface InspectedService {
  /** An instance. */
  service: string
  port: number
}

export interface ExistingServers {
  redisCacheUrl?: string
  redisStateUrl?: string
  postgresUrl?: string
}

const introductions = {
  demo: `Start the whole shop on this machine, without Docker: Postgres, two Redis
servers, all services.`,
  dev: `Start the whole shop on this machine, as npm run demo does, and restart a
service when one of its files is saved. To check types, run npm run typecheck.`,
}

/** @param script the npm script that was typed */
export const helpOf = (script: 'demo' | 'dev') => `${introductions[script]}

  npm run ${script} -- [options]

  --port N             port of the gateway (default 8080; 0: a free port)
  --host ADDRESS       address of the gateway (default 127.0.0.1); 0.0.0.0 for
                       access from other machines
  --products N         size of the catalog, up to ${maxProductCount}   (default 1000)
  --no-seed            do not add products and accounts
  --fresh              delete the data of earlier starts first
  --data DIR           folder of data, logs and generated passwords
                       (default .data)
  --watch              restart a service when its files change (npm run dev)
  --verbose            list the processes with port and pid

  --env NAME=value     set a variable for all services; repeatable
  --env catalog:NAME=value   for one service, or for one instance (catalog-2)
  --inspect SERVICE[:PORT]   open a port for a debugger; repeatable
                             (default ${firstInspectPort} and up)

  --redis URL          use this Redis for both roles instead of starting two
  --redis-cache URL    use this Redis as the cache; it may lose data
  --redis-state URL    use this Redis for sessions, carts and streams; it must
                       keep data
  --postgres URL       use this Postgres; the role must be able to create
                       databases and roles

  --restarts N         failures in a row of one process before it stays down
                       (default 10)
  --json               print one line of JSON instead of text
  --help               this text

Services inherit LOG_LEVEL and NODE_OPTIONS from the environment. A process that
dies is restarted. Ctrl-C stops all processes.
`

/** Throws an Error with a sentence for the person who typed it. */
export function parseOptions(args: readonly string[]): StackOptions | 'help' {
  const { values } = parseArguments({
    args: [...args],
    allowNegative: true,
    options: {
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      products: { type: 'string', default: '1000' },
      seed: { type: 'boolean', default: true },
      fresh: { type: 'boolean', default: false },
      data: { type: 'string', default: '.data' },
      watch: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      env: { type: 'string', multiple: true, default: [] },
      inspect: { type: 'string', multiple: true, default: [] },
      redis: { type: 'string' },
      'redis-cache': { type: 'string' },
      'redis-state': { type: 'string' },
      postgres: { type: 'string' },
      restarts: { type: 'string', default: '10' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { seed, fresh, watch, json, verbose } = values
  return {
    port: wholeNumber('--port', values.port, 0, 65_535),
    host: text('--host', values.host),
    productCount: wholeNumber('--products', values.products, 1, maxProductCount),
    dataDir: resolve(text('--data', values.data)),
    env: values.env.map(parseVariable),
    inspect: parseInspected(values.inspect),
    servers: {
      redisCacheUrl: values['redis-cache'] ?? values.redis,
      redisStateUrl: values['redis-state'] ?? values.redis,
      postgresUrl: values.postgres,
    },
    restartLimit: wholeNumber('--restarts', values.restarts, 0, 1_000_000),
    ...{ seed, fresh, watch, json, verbose },
  }
}

function parseVariable(text: string): ServiceVariable {
  const { service, name, value } =
    /^(?:(?<service>[^:=]*):)?(?<name>[A-Za-z_]\w*)=(?<value>.*)$/s.exec(text)?.groups ?? {}
  if (name === undefined || value === undefined) {
    // Not the whole text: what follows a name may be a secret.
    throw new Error(`--env must be NAME=value or service:NAME=value, not "${text.split('=', 1)[0]}".`)
  }
  if (service === undefined) return { name, value }
  findInstances(service, '--env')
  return { service, name, value }
}

/** A service of several instances is inspected in its first one: a breakpoint in one of two is chance otherwise. */
function parseInspected(texts: readonly string[]): InspectedService[] {
  let nextPort = firstInspectPort
  return texts.map((text) => {
    const [name = '', port] = text.split(':', 2)
    const [instance] = findInstances(name, '--inspect')
    const chosen = port === undefined ? nextPort : wholeNumber(`--inspect ${name}:PORT`, port, 1, 65_535)
    nextPort = chosen + 1
    return { service: instance?.name ?? name, port: chosen }
  })
}

function text(name: string, value: string): string {
  if (value.trim() === '') throw new Error(`${name} is empty: give it a value, or omit it.`)
  return value
}
