/** What each container gets to see of the secrets: a folder of its own, readable by its user only. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyFamily } from '@shop/redis-kit/keys'
import type { ServerCertificate } from './certificates.ts'
import { databases, type Secrets } from './secrets.ts'

/** User ids in the public images: node, redis, postgres. */
const owners = { node: 1000, redis: 999, postgres: 999 }

export interface SecretFile {
  /** Below the volume: `<container>/<file>`. */
  path: string
  text: string
  uid: number
}

export const tlsServers = ['redis-cache', 'redis-state', 'postgres'] as const
export type TlsServer = (typeof tlsServers)[number]

interface Material {
  secrets: Secrets
  families: readonly KeyFamily[]
  caPem: string
  certificates: Record<TlsServer, ServerCertificate>
}

export function secretFiles({ secrets, families, caPem, certificates }: Material): SecretFile[] {
  const redis = (['cache', 'state'] as const).flatMap((role) => [
    { path: `redis-${role}/users.acl`, text: aclFile(role, families, secrets.redis), uid: owners.redis },
    { path: `redis-${role}/health`, text: secrets.redis.health ?? '', uid: owners.redis },
    { path: `redis-${role}/audit`, text: secrets.redis.audit ?? '', uid: owners.redis },
    ...tlsFiles(`redis-${role}`, certificates[`redis-${role}`], caPem, owners.redis),
  ])
  const postgres = [
    { path: 'postgres/password', text: secrets.postgres, uid: owners.postgres },
    { path: 'postgres-init/databases.sql', text: databasesSql(secrets), uid: owners.postgres },
    ...tlsFiles('postgres', certificates.postgres, caPem, owners.postgres),
  ]
  const node = Object.entries(environments(secrets)).flatMap(([name, variables]) => [
    { path: `${name}/env`, text: envText(variables), uid: owners.node },
    { path: `${name}/ca.crt`, text: caPem, uid: owners.node },
  ])
  return [...redis, ...postgres, ...node]
}

export function writeSecretFiles(volume: string, files: readonly SecretFile[]): void {
  for (const { path, text, uid } of files) {
    const file = join(volume, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    chownSync(dirname(file), uid, uid)
    writeFileSync(file, text, { mode: 0o400 })
    chmodSync(file, 0o400)
    chownSync(file, uid, uid)
  }
}

function tlsFiles(folder: string, { certificatePem, privateKeyPem }: ServerCertificate, caPem: string, uid: number) {
  return [
    { path: `${folder}/tls.crt`, text: certificatePem, uid },
    { path: `${folder}/tls.key`, text: privateKeyPem, uid },
    { path: `${folder}/ca.crt`, text: caPem, uid },
  ]
}

/** One database and one role each, and nobody else may connect to it. */
function databasesSql(secrets: Secrets): string {
  return databases
    .map(
      (name) => `CREATE ROLE "${name}" LOGIN PASSWORD '${secrets.databases[name]}';
CREATE DATABASE "${name}" OWNER "${name}";
REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC;
`,
    )
    .join('\n')
}

/** What each process is told: no more than it needs. */
function environments({ databases: passwords, redis, identity, accounts }: Secrets) {
  const database = (name: string) =>
    `postgres://${name}:${passwords[name]}@postgres:5432/${name}?sslmode=verify-full&sslrootcert=/run/shop/ca.crt`
  const tls = { REDIS_TLS_CA_FILE: '/run/shop/ca.crt' }
  const state = (name: string) => ({ REDIS_STATE_URL: `rediss://${name}:${redis[name]}@redis-state:6379`, ...tls })
  const cache = (name: string) => ({ REDIS_CACHE_URL: `rediss://${name}:${redis[name]}@redis-cache:6379`, ...tls })
  const verify = { IDENTITY_PUBLIC_KEY: identity.publicKey }
  return {
    catalog: { ...state('catalog'), ...cache('catalog'), ...verify, DATABASE_URL: database('catalog') },
    user: { ...state('user'), ...verify, DATABASE_URL: database('user') },
    order: { ...state('order'), ...verify, DATABASE_URL: database('order') },
    gateway: { ...state('gateway'), ...cache('gateway'), IDENTITY_PRIVATE_KEY: identity.privateKey },
    migrate: Object.fromEntries(databases.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, database(name)])),
    seed: {
      CATALOG_DATABASE_URL: database('catalog'),
      USER_DATABASE_URL: database('user'),
      SHOP_ACCOUNTS: JSON.stringify(accounts),
    },
  }
}

function envText(variables: Record<string, string>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join('')
}
