import { argon2Sync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hashPassword, isCurrentHash, verifyPassword } from './password.ts'

describe('password hashes', () => {
  it('accept the password they were made from and no other', async () => {
    const hash = await hashPassword('correct horse battery')
    expect(await verifyPassword('correct horse battery', hash)).toBe(true)
    expect(await verifyPassword('correct horse batterz', hash)).toBe(false)
    expect(await verifyPassword('', hash)).toBe(false)
  })

  it('are PHC strings of argon2id, salted anew each time', async () => {
    const [first, second] = await Promise.all([hashPassword('same password'), hashPassword('same password')])
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(first).not.toBe(second)
    expect(isCurrentHash(first)).toBe(true)
  })

  it('made elsewhere with other parameters still verify, and are known to be outdated', async () => {
    const nonce = Buffer.from('0123456789abcdef')
    const hash = argon2Sync('argon2id', {
      message: 'an older secret',
      nonce,
      parallelism: 2,
      tagLength: 24,
      memory: 4096,
      passes: 3,
    })
    const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
    const stored = `$argon2id$v=19$m=4096,t=3,p=2$${text(nonce)}$${text(hash)}`
    expect(await verifyPassword('an older secret', stored)).toBe(true)
    expect(await verifyPassword('another secret', stored)).toBe(false)
    expect(isCurrentHash(stored)).toBe(false)
  })

  it('of an account that does not exist cost the same work and refuse', async () => {
    expect(await verifyPassword('anything at all', undefined)).toBe(false)
  })

  it('that cannot be read, or ask for too much memory, refuse instead of failing', async () => {
    const hash = await hashPassword('a password')
    const broken = [
      '',
      'plain text',
      '$2b$10$abcdefghijklmnopqrstuu',
      hash.replace('m=19456', 'm=9999999'),
      hash.replace('t=2', 't=0'),
      hash.slice(0, 40),
    ]
    for (const stored of broken) expect(await verifyPassword('a password', stored), stored).toBe(false)
  })

  it('do not depend on how an accent was typed', async () => {
    expect(await verifyPassword('cafe\u0301 du matin', await hashPassword('caf\u00e9 du matin'))).toBe(true)
  })
})
