/** The command itself, on a folder in place of the volume. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'

const run = promisify(execFile)

function volume() {
  const dir = mkdtempSync(join(tmpdir(), 'shop-volume-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const setup = async (...args: string[]) => {
    const env = { PATH: process.env.PATH, SECRETS_DIR: dir }
    return (await run(process.execPath, [join(import.meta.dirname, 'setup.ts'), ...args], { env })).stdout
  }
  return { setup, read: (path: string) => readFileSync(join(dir, path), 'utf8') }
}

describe('setup', () => {
  it('runs again and changes nothing', async () => {
    const { setup, read } = volume()
    const paths = ['setup/secrets.json', 'order/env', 'redis-state/users.acl', 'postgres/tls.crt', 'migrate/env']
    await setup()
    const before = paths.map(read)
    await setup()
    expect(paths.map(read)).toEqual(before)
    expect(await setup('acl', 'state')).toBe(read('redis-state/users.acl'))
  })

  it('adds the users of replicas and of Sentinel when it is asked, and keeps them', async () => {
    const { setup, read } = volume()
    await setup()
    expect(read('redis-state/users.acl')).not.toContain('user replica')
    const printed = await setup('replication')
    const password = /^masterauth (\S{24})$/m.exec(printed)?.[1]
    expect(printed).toMatch(/^sentinel auth-pass main \S{24}$/m)
    await setup()
    for (const server of ['redis-cache', 'redis-state'])
      expect(read(`${server}/users.acl`)).toMatch(/^user replica .*psync/m)
    expect(await setup('replication')).toContain(`masterauth ${password}`)
  })
})

it('a command that does not exist is refused with those that do', async () => {
  await expect(volume().setup('acl')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('acl state') })
})
