/**
 * The demo's passwords and keys: made at the first start, kept in the data folder (readable by its owner only), so that
 * data of earlier starts can be opened again. Nothing in the repository is a secret and no secret has a default.
 */
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serviceNames } from '@shop/contracts/services'
import { makeFolder } from '@shop/test-kit/folder'

export interface Account {
  email: string
  name: string
  role: 'customer' | 'admin'
  password: string
}

export interface Secrets {
  /** By Redis user: one per service, `health` and `viewer`. */
  redis: Record<string, string>
  /** Of the services' roles on a Postgres that exists already. */
  databasePassword: string
  /** Ed25519, PKCS#8 PEM in base64: the gateway signs identities with it. */
  identityPrivateKey: string
  /** SPKI PEM in base64: every service checks them with it. */
  identityPublicKey: string
  accounts: Account[]
}

/** Keeps what an earlier start has made, and makes what is new since then. Throws with the file's name when it is damaged. */
export function loadSecrets(dataDir: string): Secrets {
  makeFolder(dataDir)
  const file = join(dataDir, 'secrets.json')
  const [kept, fresh] = [readSecrets(file), generateSecrets()]
  const secrets: Secrets = { ...fresh, ...kept, redis: { ...fresh.redis, ...kept.redis } }
  const damage = damageOf(secrets)
  if (damage !== undefined) throw damaged(file, damage)
  // By renaming: a kill during the write must not cost the passwords of the data.
  writeFileSync(`${file}.new`, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
  return secrets
}

function readSecrets(file: string): Partial<Secrets> {
  try {
    const secrets = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof secrets === 'object' && secrets !== null && !Array.isArray(secrets)) return secrets
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    if (!(error instanceof SyntaxError)) throw error
  }
  throw damaged(file, 'it is not a JSON object')
}

/** Never quotes the file: it holds passwords. */
function damaged(file: string, damage: string): Error {
  return new Error(
    `${file} is damaged: ${damage}. Restore a copy of it, or start with --fresh, which deletes all data of this shop.`,
  )
}

function damageOf({ accounts, redis, ...texts }: Secrets): string | undefined {
  if (!Array.isArray(accounts)) return 'accounts is not a list'
  const wrong = Object.entries({ ...redis, ...texts }).find(([, value]) => typeof value !== 'string' || value === '')
  if (wrong !== undefined) return `the value of ${wrong[0]} is not a string`
  return isPair(texts) ? undefined : 'identityPrivateKey and identityPublicKey are not a pair'
}

/** Services would refuse every request that the gateway vouches for. */
function isPair({
  identityPrivateKey,
  identityPublicKey,
}: Pick<Secrets, 'identityPrivateKey' | 'identityPublicKey'>): boolean {
  try {
    const derived = createPublicKey(Buffer.from(identityPrivateKey, 'base64').toString())
    return createPublicKey(Buffer.from(identityPublicKey, 'base64').toString()).equals(derived)
  } catch {
    return false
  }
}

function generateSecrets(): Secrets {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    redis: Object.fromEntries([...serviceNames, 'health', 'viewer'].map((name) => [name, password()])),
    databasePassword: password(),
    identityPrivateKey: Buffer.from(privateKey).toString('base64'),
    identityPublicKey: Buffer.from(publicKey).toString('base64'),
    accounts: [
      { email: 'ada@example.com', name: 'Ada Lovelace', role: 'customer', password: password() },
      { email: 'grace@example.com', name: 'Grace Hopper', role: 'customer', password: password() },
      { email: 'admin@example.com', name: 'Shop Admin', role: 'admin', password: password() },
    ],
  }
}

/** 120 bits, in letters that need no quoting in a shell or a URL. */
function password(): string {
  return randomBytes(15).toString('base64url')
}
