/**
 * The first container that runs: makes passwords, a private CA, certificates and ACL files, and puts them into a volume from
 * which each container sees its own folder. Runs at every start: what is there is kept, ACL files are written anew from the code.
 *
 *   setup            make what is missing
 *   setup rotate     new CA and certificates; restart the containers afterwards
 *   setup accounts   print the demo accounts
 *   setup acl ROLE   print the ACL file of the cache or the state server, for servers that are run elsewhere
 *   setup replication   add the users by which replicas and Sentinel log in, and print their configuration
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { createAuthority, issueCertificate, type ServerCertificate } from './certificates.ts'
import { secretFiles, type TlsServer, tlsServers, writeSecretFiles } from './files.ts'
import { completeSecrets, type Secrets, secretOf, withReplication } from './secrets.ts'

interface Tls {
  caPem: string
  certificates: Record<TlsServer, ServerCertificate>
}

const volume = process.env.SECRETS_DIR ?? '/secrets'
/** Only this container mounts it. */
const own = join(volume, 'setup')

const [command = 'make', role] = process.argv.slice(2)
if (command === 'make') await make()
else if (command === 'rotate') await make({ rotate: true })
else if (command === 'accounts') printAccounts()
else if (command === 'acl' && (role === 'cache' || role === 'state')) await printAcl(role)
else if (command === 'replication') await addReplication()
else {
  process.stderr.write(
    `setup: unknown command ${process.argv.slice(2).join(' ')}; use one of: rotate, accounts, acl cache, acl state, replication\n`,
  )
  process.exitCode = 2
}

async function make({ rotate = false } = {}) {
  mkdirSync(own, { recursive: true, mode: 0o700 })
  const secrets = completeSecrets(load<Partial<Secrets>>('secrets.json') ?? {})
  save('secrets.json', secrets)
  const tls = await loadTls(rotate)
  const files = secretFiles({ secrets, families: await readKeyFamilies(), ...tls })
  writeSecretFiles(volume, files, 'setup')
  process.stdout.write(`setup: ${files.length} files in place${rotate ? ', certificates are new' : ''}\n`)
}

/** A new CA with every rotation: its key is needed for nothing else, so it is not even kept. */
async function createTls(): Promise<Tls> {
  const authority = await createAuthority()
  const entries = await Promise.all(tlsServers.map(async (name) => [name, await issueCertificate(authority, name)]))
  return { caPem: authority.certificatePem, certificates: Object.fromEntries(entries) }
}

/** New ones when there are none, when a server is new, or on demand: all at once, for the key of the CA is not kept. */
async function loadTls(rotate: boolean): Promise<Tls> {
  const kept = rotate ? undefined : load<Tls>('tls.json')
  if (kept?.caPem && tlsServers.every((name) => kept.certificates[name])) return kept
  const tls = await createTls()
  save('tls.json', tls)
  return tls
}

function load<Value>(name: string): Value | undefined {
  const file = join(own, name)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

/** By renaming: a start that is interrupted leaves the old file, and no half of a new one. */
function save(name: string, value: unknown) {
  const file = join(own, name)
  writeFileSync(`${file}.new`, JSON.stringify(value), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

async function printAcl(of: KeyRole) {
  process.stdout.write(aclFile(of, await readKeyFamilies(), kept().redis))
}

async function addReplication() {
  const secrets = withReplication(kept())
  save('secrets.json', secrets)
  await make()
  process.stdout.write(`
# redis.conf of each server, whether it is the master or a replica now
masteruser replica
masterauth ${secretOf(secrets.redis, 'replica')}

# sentinel.conf, after "sentinel monitor main …"
sentinel auth-user main sentinel
sentinel auth-pass main ${secretOf(secrets.redis, 'sentinel')}
`)
}

/** Of an earlier start. */
function kept(): Secrets {
  const secrets = load<Secrets>('secrets.json')
  if (!secrets) throw new Error('setup has not run yet: the volume has no secrets')
  return secrets
}

function printAccounts() {
  const { accounts } = kept()
  for (const { role, email, password } of accounts) process.stdout.write(`${role}  ${email}  ${password}\n`)
}
