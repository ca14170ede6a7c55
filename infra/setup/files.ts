/** What each container gets to see of the secrets: a folder of its own, readable by its user only. */
import { chownSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { databaseNames, serviceNames } from '@shop/contracts/services'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyFamily, KeyRole } from '@shop/redis-kit/keys'
import { serviceEnvironment } from '@shop/service-kit/process/environment'
import type { ServerCertificate } from './certificates.ts'
import { type Secrets, secretOf } from './secrets.ts'

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
    { path: `redis-${role}/health`, text: secretOf(secrets.redis, 'health'), uid: owners.redis },
    { path: `redis-${role}/audit`, text: secretOf(secrets.redis, 'audit'), uid: owners.redis },
    { path: `redis-${role}/look.env`, text: lookVariables(secrets), uid: owners.redis },
    ...tlsFiles(`redis-${role}`, certificates[`redis-${role}`], caPem, owners.redis),
  ])
  const loader = [
    { path: 'redis-users/loader', text: secretOf(secrets.redis, 'loader'), uid: owners.redis },
    { path: 'redis-users/ca.crt', text: caPem, uid: owners.redis },
  ]
  const postgres = [
    { path: 'postgres/password', text: secrets.postgres, uid: owners.postgres },
    { path: 'postgres/password.sql', text: passwordSql(secrets), uid: owners.postgres },
    ...tlsFiles('postgres', certificates.postgres, caPem, owners.postgres),
  ]
  const node = Object.entries(environments(secrets)).flatMap(([name, variables]) => [
    { path: `${name}/env`, text: envText(variables), uid: owners.node },
    { path: `${name}/ca.crt`, text: caPem, uid: owners.node },
  ])
  return [...redis, ...loader, ...postgres, ...node]
}

/** Writes them all, and removes what an earlier version wrote for a container that is gone. `kept` is a folder that is not touched. */
export function writeSecretFiles(volume: string, files: readonly SecretFile[], kept: string): void {
  const paths = new Set(files.map(({ path }) => path))
  for (const path of globSync('*/*', { cwd: volume })) {
    if (!paths.has(path) && dirname(path) !== kept) rmSync(join(volume, path))
  }
  for (const { path, text, uid } of files) {
    const file = join(volume, path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    giveAway(dirname(file), uid)
    // By renaming: a container that reads meanwhile sees the old file or the new one.
    rmSync(`${file}.new`, { force: true })
    writeFileSync(`${file}.new`, text, { mode: 0o400 })
    giveAway(`${file}.new`, uid)
    renameSync(`${file}.new`, file)
  }
}

/** Only root may. Any other user, who runs setup outside of its container, keeps the files. */
function giveAway(path: string, uid: number): void {
  if (process.getuid?.() === 0) chownSync(path, uid, uid)
}

function tlsFiles(folder: string, { certificatePem, privateKeyPem }: ServerCertificate, caPem: string, uid: number) {
  return [
    { path: `${folder}/tls.crt`, text: certificatePem, uid },
    { path: `${folder}/tls.key`, text: privateKeyPem, uid },
    { path: `${folder}/ca.crt`, text: caPem, uid },
  ]
}

/**
 * What the lines under "Look at it" need, for `docker compose exec -e ENV=/run/shop/look.env redis-state sh`: the read-only user on both
 * servers. The shell splits `$STATE` at its blanks.
 */
function lookVariables({ redis }: Secrets): string {
  const url = (role: string) => `rediss://viewer:${secretOf(redis, 'viewer')}@redis-${role}:6379`
  return ['cache', 'state'].map((role) => `${role.toUpperCase()}='${url(role)} --cacert /run/shop/ca.crt'\n`).join('')
}

/** Databases that are older than these secrets are given the new password by this, from inside of their container. */
function passwordSql({ postgres }: Secrets): string {
  return `ALTER ROLE postgres PASSWORD '${postgres}';\n`
}

/** What each process is told: no more than it needs. */
function environments({ postgres, databases, redis, identity, accounts }: Secrets) {
  const database = (name: string, user = name, password = secretOf(databases, name)) =>
    `postgres://${user}:${password}@postgres:5432/${name}?sslmode=verify-full&sslrootcert=/run/shop/ca.crt`
  const source = {
    redisUrl: (role: KeyRole, name: string) => `rediss://${name}:${secretOf(redis, name)}@redis-${role}:6379`,
    databaseUrl: (name: string) => database(name),
    identity,
  }
  const ofServices = serviceNames.map((name) => {
    return [name, { ...serviceEnvironment(name, source), REDIS_TLS_CA_FILE: '/run/shop/ca.crt' }] as const
  })
  return {
    ...Object.fromEntries(ofServices),
    migrate: {
      ...Object.fromEntries(databaseNames.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, database(name)])),
      POSTGRES_ADMIN_URL: database('postgres', 'postgres', postgres),
    },
    seed: {
      CATALOG_DATABASE_URL: database('catalog'),
      USER_DATABASE_URL: database('user'),
      SHOP_ACCOUNTS: JSON.stringify(accounts),
    },
  }
}

function envText(variables: Record<string, string>): string {
  return Object.keys(variables)
    .map((name) => `${name}='${secretOf(variables, name)}'\n`)
    .join('')
}
