/**
 * A service's configuration is its environment, checked once before anything starts. All problems are reported together:
 * the variable, what was found, what it must be (config-problem.ts). A secret has no default.
 *
 *     const sessionConfig = { SESSION_IDLE_MS: Integer({ default: 1_800_000, doc: '…' }) }
 *     export const configSchema = Type.Object({ ...commonConfig, ...stateConfig, ...sessionConfig })
 *     const config = loadConfig(configSchema, process.env)   // typed; throws ConfigError
 */
import { randomBytes } from 'node:crypto'
import { type Static, type TObject, Type } from 'typebox'
import { expected, type Form, missing, problemOf, type Variable } from './config-problem.ts'

/** What every variable says about itself. */
export interface VariableOptions<Value> {
  /** One line for the docs and for the error message. */
  doc: string
  /** Used when the variable is not set or empty. Without it the variable is required. */
  default?: Value
}
type NumberOptions = VariableOptions<number> & { minimum?: number; maximum?: number }
type StringOptions = VariableOptions<string> & { pattern?: string; minLength?: number; expects?: string }

/** Everything that is wrong with the environment, one sentence per variable. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export const Text = (options: StringOptions) => Type.String({ minLength: 1, expects: 'text', ...options })

/** Required, never shown, never defaulted. `minLength` keeps a forgotten `changeme` out. */
export const Secret = ({ doc, ...options }: Omit<StringOptions, 'default'>) =>
  Type.String({ minLength: 8, expects: 'a secret of at least 8 characters', ...options, doc, secret: true })

export const Integer = ({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER, ...options }: NumberOptions) =>
  Type.Integer({ minimum, maximum, expects: `a whole number from ${minimum} to ${maximum}`, ...options })

export const Port = (options: VariableOptions<number>) => Integer({ minimum: 0, maximum: 65_535, ...options })

export const Flag = (options: VariableOptions<boolean>) => Type.Boolean({ expects: 'true or false', ...options })

export const OneOf = <const Values extends readonly string[]>(
  values: Values,
  options: VariableOptions<Values[number]>,
) =>
  Type.Unsafe<Values[number]>({
    type: 'string',
    enum: [...values],
    expects: `one of ${values.join(', ')}`,
    ...options,
  })

/** A URL that starts with one of the schemes. May hold a password, so it is treated as a secret unless `secret: false`. */
export const Url = ({
  schemes = ['http', 'https'],
  secret = false,
  form = 'http-url',
  ...options
}: VariableOptions<string> & { schemes?: readonly string[]; secret?: boolean; form?: Form; expects?: string }) =>
  Type.String({
    pattern: `^(${schemes.map((scheme) => scheme.replaceAll('+', '\\+')).join('|')})://\\S+$`,
    expects: `a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    secret,
    form,
    ...options,
  })

/** A PEM in base64, so that it fits on one line of an .env file. */
const Pem = (label: string, doc: string, form: Form) =>
  Type.String({
    minLength: 1,
    pattern: '^[A-Za-z0-9+/_-]{40,}={0,2}$',
    expects: `the base64 of a PEM ${label}`,
    doc,
    form,
  })

const RedisUrl = (doc: string) =>
  Url({
    schemes: redisSchemes,
    form: 'redis-url',
    secret: true,
    expects: 'a URL like redis://user:password@host:6379, rediss:// for TLS, +cluster or +sentinel for several hosts',
    doc,
  })

const redisSchemes = [
  'redis',
  'rediss',
  'redis+sentinel',
  'rediss+sentinel',
  'redis+cluster',
  'rediss+cluster',
] as const

/** What every process has. Spread these into the service's own schema. */
export const commonConfig = {
  HOST: Text({ default: '127.0.0.1', doc: 'Address to listen on' }),
  PORT: Port({ default: 0, doc: 'Port of the HTTP API; 0 lets the system choose' }),
  INTERNAL_PORT: Port({ default: 0, doc: 'Port of /metrics and /health, never published; 0 lets the system choose' }),
  ADVERTISE_HOST: Type.Optional(
    Text({
      doc: 'Address of this instance for other services; default HOST, or this machine’s name if HOST is every address',
    }),
  ),
  INSTANCE_ID: Type.Optional(
    Text({
      doc: 'Name of this instance; generated if not set',
      pattern: '^[\\w.-]{1,64}$',
      expects: 'letters, digits, . _ -',
    }),
  ),
  LOG_LEVEL: OneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    doc: 'Lowest level that is logged',
  }),
  SHUTDOWN_TIMEOUT_MS: Integer({
    default: 10_000,
    minimum: 100,
    maximum: 600_000,
    doc: 'Longest time for stopping',
  }),
  DRAIN_MS: Integer({
    default: 250,
    maximum: 60_000,
    doc: 'Wait between leaving the registry and refusing connections',
  }),
}

export const databaseConfig = {
  DATABASE_URL: Url({
    schemes: ['postgres', 'postgresql'],
    form: 'postgres-url',
    secret: true,
    expects: 'a URL like postgres://user:password@host:5432/name',
    doc: "The service's own database",
  }),
  DATABASE_POOL_MAX: Integer({
    default: 10,
    minimum: 1,
    maximum: 200,
    doc: 'Most connections to Postgres per instance',
  }),
}

const redisTls = {
  REDIS_TLS_CA_FILE: Type.Optional(Text({ doc: 'PEM file of the authority that signed the certificates of Redis' })),
}

export const cacheConfig = {
  REDIS_CACHE_URL: RedisUrl('Redis that may lose data: cached reads, edge limits'),
  ...redisTls,
}

export const stateConfig = {
  REDIS_STATE_URL: RedisUrl('Redis that must keep data: sessions, streams'),
  ...redisTls,
}

export const verifyIdentityConfig = {
  IDENTITY_PUBLIC_KEY: Pem('public key (SPKI, Ed25519)', 'Verifies the identity tokens of the gateway', 'public-key'),
}

export const mintIdentityConfig = {
  IDENTITY_PRIVATE_KEY: {
    ...Pem('private key (PKCS8, Ed25519)', 'Signs identity tokens; only the gateway has it', 'private-key'),
    secret: true,
  } as ReturnType<typeof Pem>,
}

/** Ready for use: what was not set has its default, INSTANCE_ID and ADVERTISE_HOST are filled in by `instanceDefaults`. */
export function loadConfig<Schema extends TObject>(schema: Schema, env: NodeJS.ProcessEnv): Static<Schema> {
  const values: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [name, variable] of Object.entries(schema.properties) as [string, Variable][]) {
    const text = env[name]?.trim()
    if (text === undefined || text === '') {
      if (variable.default !== undefined) values[name] = variable.default
      else if (schema.required?.includes(name)) problems.push(missing(name, variable))
      continue
    }
    const value = convert(variable, text)
    const problem = problemOf(name, variable, value)
    if (problem === undefined) values[name] = value
    else problems.push(problem)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return values as Static<Schema>
}

/** `catalog-3f9a1c`: unique enough per service, and short enough to read in a log. */
export function newInstanceId(service: string): string {
  return `${service}-${randomBytes(3).toString('hex')}`
}

export interface VariableDescription {
  name: string
  doc: string
  expects: string
  required: boolean
  secret: boolean
  default?: unknown
}

/** One entry per variable, in the order of the schema: for README tables and .env.example. Secrets show no default: they have none. */
export function describeConfig(schema: TObject): VariableDescription[] {
  return (Object.entries(schema.properties) as [string, Variable][]).map(([name, variable]) => ({
    name,
    doc: variable.doc ?? '',
    expects: expected(variable),
    required: variable.default === undefined && (schema.required?.includes(name) ?? false),
    secret: variable.secret === true,
    ...(variable.default !== undefined && { default: variable.default }),
  }))
}

function convert(variable: Variable, text: string): unknown {
  if (variable.type === 'integer' || variable.type === 'number')
    return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (variable.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  return text
}
