/** What setup writes when it runs again: nothing is lost, nothing is missing, and no word is `undefined`. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { expect, it, onTestFinished } from 'vitest'
import { secretFiles, writeSecretFiles } from './files.ts'
import { completeSecrets, generateSecrets, type Secrets, secretOf } from './secrets.ts'

const families = await readKeyFamilies()
const certificate = { certificatePem: 'certificate', privateKeyPem: 'key' }
const certificates = { 'redis-cache': certificate, 'redis-state': certificate, postgres: certificate }

function filesOf(secrets: Secrets) {
  return secretFiles({ secrets, families, caPem: 'ca', certificates })
}

it('a service with a database that is added later gets secrets of its own, and the others keep theirs', () => {
  const all = generateSecrets()
  const { order: _database, ...databases } = all.databases
  const { order: _user, ...redis } = all.redis
  const secrets = completeSecrets({ ...all, databases, redis })
  expect(secrets).toMatchObject({ ...all, databases, redis })
  expect(secrets.databases.order).toMatch(/^[\w-]{24}$/)
  const env = filesOf(secrets).find(({ path }) => path === 'order/env')?.text
  expect(env).toContain(`postgres://order:${secrets.databases.order}@`)
  expect(env).toContain(`rediss://order:${secrets.redis.order}@`)
})

it.each(['databases', 'redis', 'postgres', 'identity', 'accounts'] as const)(
  'secrets without %s are completed, and no file says undefined or null',
  (name) => {
    const { [name]: _removed, ...rest } = generateSecrets()
    const secrets = completeSecrets(rest)
    expect(secrets).toMatchObject(rest)
    for (const { path, text } of filesOf(secrets))
      expect([path, text]).not.toEqual([path, expect.stringMatching(/undefined|null|:@|''/)])
  },
)

it('a value that is missing all the same is an error that names it', () => {
  const secrets = generateSecrets()
  const { order: _removed, ...databases } = secrets.databases
  expect(() => filesOf({ ...secrets, databases })).toThrow('no secret was made for "order"')
  expect(() => filesOf({ ...secrets, redis: { ...secrets.redis, user: '' } })).toThrow('user')
  expect(() => secretOf({}, 'new-service')).toThrow('add it to infra/setup/secrets.ts')
})

it('one key of the pair alone is made anew together with the other', () => {
  const all = generateSecrets()
  const half = { privateKey: all.identity.privateKey } as Secrets['identity']
  const { identity } = completeSecrets({ ...all, identity: half })
  expect(identity.privateKey).not.toBe(all.identity.privateKey)
  expect(identity.publicKey).toBeTruthy()
})

it('files of a service that is gone are removed, and what setup keeps for itself stays', () => {
  const volume = mkdtempSync(join(tmpdir(), 'shop-volume-'))
  onTestFinished(() => rmSync(volume, { recursive: true }))
  for (const folder of ['setup', 'renamed']) mkdirSync(join(volume, folder))
  writeFileSync(join(volume, 'setup/secrets.json'), '{}')
  writeFileSync(join(volume, 'renamed/env'), 'DATABASE_URL=…')
  const uid = process.getuid?.() ?? 0
  writeSecretFiles(volume, [{ path: 'order/env', text: 'A=1', uid }], 'setup')
  expect(existsSync(join(volume, 'renamed/env'))).toBe(false)
  expect(existsSync(join(volume, 'setup/secrets.json'))).toBe(true)
  writeSecretFiles(volume, [{ path: 'order/env', text: 'A=2', uid }], 'setup')
  expect(readFileSync(join(volume, 'order/env'), 'utf8')).toBe('A=2')
})
