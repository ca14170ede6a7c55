/** Passwords, keys and accounts: made at the first start and kept in the volume; what an upgrade adds is made when it is missing. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { databaseNames, serviceNames } from '@shop/contracts/services'

const redisUsers = [...serviceNames, 'health', 'audit', 'loader', 'viewer']

export interface Account {
  email: string
  name: string
  role: 'customer' | 'admin'
  password: string
}

export interface Secrets {
  postgres: string
  /** Of the databases' owners. */
  databases: Record<string, string>
  /** Of the Redis users: one per service, `health`, `audit`, `loader` and `viewer`; `replica` and `sentinel` on demand. */
  redis: Record<string, string>
  identity: { privateKey: string; publicKey: string }
  accounts: Account[]
}

export function generateSecrets(): Secrets {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    postgres: password(),
    databases: passwords(databaseNames),
    redis: passwords(redisUsers),
    identity: { privateKey: base64(privateKey), publicKey: base64(publicKey) },
    accounts: [
      { email: 'ada@example.com', name: 'Ada Lovelace', role: 'customer', password: password() },
      { email: 'grace@example.com', name: 'Grace Hopper', role: 'customer', password: password() },
      { email: 'admin@example.com', name: 'Shop Admin', role: 'admin', password: password() },
    ],
  }
}

/** Keeps what an earlier version has made, and makes what is missing: a service is new, or a line was removed by hand. */
export function completeSecrets(kept: Partial<Secrets>): Secrets {
  const fresh = generateSecrets()
  const { postgres = fresh.postgres, accounts = fresh.accounts } = kept
  // The two keys are a pair: one of them alone is of no use.
  const identity = kept.identity?.privateKey && kept.identity.publicKey ? kept.identity : fresh.identity
  return {
    postgres,
    databases: { ...fresh.databases, ...present(kept.databases) },
    redis: { ...fresh.redis, ...present(kept.redis) },
    identity,
    accounts,
  }
}

/** For servers with replicas: the users by which they, and Sentinel, log in at each other. */
export function withReplication(secrets: Secrets): Secrets {
  return { ...secrets, redis: { ...passwords(['replica', 'sentinel']), ...secrets.redis } }
}

/** Throws for a secret that is missing or empty, which would otherwise be printed into a file as `undefined`. */
export function secretOf(secrets: Readonly<Record<string, string>>, name: string): string {
  const secret = secrets[name]
  if (!secret) {
    throw new Error(
      `no secret was made for "${name}": add it to infra/setup/secrets.ts, or a service to libs/contracts/services.ts`,
    )
  }
  return secret
}

function present(secrets: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).filter(([, secret]) => secret))
}

function passwords(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, password()]))
}

/** 144 bits, in letters that need no quoting in a URL, a shell or SQL. */
function password(): string {
  return randomBytes(18).toString('base64url')
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
