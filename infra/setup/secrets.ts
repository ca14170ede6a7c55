/** What is made at the first start and kept in the volume: passwords, keys, accounts. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'

export const databases = ['catalog', 'user', 'order'] as const
export const services = ['catalog', 'gateway', 'order', 'user'] as const
const redisUsers = [...services, 'health', 'audit']

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
  /** Of the Redis users: one per service, `health` and `audit`. */
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
    databases: passwords(databases),
    redis: passwords(redisUsers),
    identity: { privateKey: base64(privateKey), publicKey: base64(publicKey) },
    accounts: [
      { email: 'ada@example.com', name: 'Ada Lovelace', role: 'customer', password: password() },
      { email: 'grace@example.com', name: 'Grace Hopper', role: 'customer', password: password() },
      { email: 'admin@example.com', name: 'Shop Admin', role: 'admin', password: password() },
    ],
  }
}

/** Secrets that were made before a Redis user was added: what is there stays. */
export function withNewUsers(secrets: Secrets): Secrets {
  return { ...secrets, redis: { ...passwords(redisUsers), ...secrets.redis } }
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
