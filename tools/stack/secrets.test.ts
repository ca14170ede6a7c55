import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames } from '@shop/contracts/services'
import { expect, it, onTestFinished } from 'vitest'
import { loadSecrets } from './secrets.ts'

function dataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'shop-secrets-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

it('every service has a Redis password of its own, which a second start finds again', () => {
  const dir = dataDir()
  const secrets = loadSecrets(dir)
  const passwords = serviceNames.map((name) => secrets.redis[name])
  expect(new Set(passwords).size).toBe(serviceNames.length)
  expect(passwords.every((password) => (password?.length ?? 0) >= 20)).toBe(true)
  expect(loadSecrets(dir)).toEqual(secrets)
})

it('secrets of an earlier version keep what they have and get what is new', () => {
  const dir = dataDir()
  const earlier = { ...loadSecrets(dir), redis: { order: 'kept' } }
  writeFileSync(join(dir, 'secrets.json'), JSON.stringify(earlier))
  const secrets = loadSecrets(dir)
  expect(secrets).toMatchObject({ accounts: earlier.accounts, identityPrivateKey: earlier.identityPrivateKey })
  expect(secrets.redis).toMatchObject({ order: 'kept', catalog: expect.stringMatching(/^[\w-]{20,}$/) })
  expect(JSON.parse(readFileSync(join(dir, 'secrets.json'), 'utf8'))).toEqual(secrets)
})
