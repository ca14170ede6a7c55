/** The ACL files on a real Redis: each service has what it needs and nothing else. */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames, services } from '@shop/contracts/services'
import { aclFile } from '@shop/redis-kit/acl'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { checkEvictionPolicy } from '@shop/redis-kit/connection/server/eviction-policy'
import type { KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { aclViolations } from './acl-violations.fixture.ts'
import { generateSecrets } from './secrets.ts'

const root = join(import.meta.dirname, '..', '..')
const families = await readKeyFamilies()
const passwords = generateSecrets().redis
const admin = { username: 'admin', password: 'for-this-test-only' }
const adminLine = `user ${admin.username} on >${admin.password} allkeys allchannels allcommands\n`

describe('a script', () => {
  const files = globSync('{apps,libs}/**/*.lua', { cwd: root, exclude: ['**/node_modules'] })

  it('uses only commands that some service is granted', async () => {
    expect(files.length).toBeGreaterThan(20)
    const scripts = files.map((file) => readFileSync(join(root, file), 'utf8'))
    expect(await refusedCommands(scripts.join('\n'))).toEqual([])
  })

  it('is noticed when it uses another, or hides which', async () => {
    expect(await refusedCommands("redis.call('FLUSHALL')\nredis.pcall('XGROUP', 'DESTROY')")).toEqual([
      'flushall',
      'xgroup|destroy',
    ])
    expect(await refusedCommands('redis.call(command, KEYS[1])')).toEqual(['a command that is not a literal'])
  })
})

describe.each(['cache', 'state'] as const)('the ACL of the %s server', (role) => {
  it('gives each service its own keys and channels, no others, and nothing dangerous but INFO', async () => {
    expect(await violations(role, aclFile(role, families, passwords))).toEqual([])
  })

  it('is caught when it gives everything to everybody', async () => {
    const open = namesIn(aclFile(role, families, passwords)).map((name) => `user ${name} on >x allkeys allcommands`)
    const found = await violations(role, ['user default on nopass allkeys +ping', ...open].join('\n'), () => 'x')
    expect(found).toContain('the default user may log in')
    expect(found).toContain('gateway may run flushall')
    expect(found).toContain('gateway may run config get 1')
    expect(found.filter((line) => /^gateway may write catalog:/.test(line))).not.toEqual([])
  })

  it('is caught when one service may read what is not shared with it', async () => {
    const leaky = aclFile(role, families, passwords).replace(/(user gateway .*)/, '$1 ~catalog:*')
    const found = await violations(role, leaky)
    expect(found.length).toBeGreaterThan(0)
    for (const line of found) expect(line).toMatch(/^gateway may (read|write|remove).* catalog:/)
  })

  it('is caught when it takes away what a service needs', async () => {
    const strict = aclFile(role, families, passwords).replace(/(user gateway .*)/, '$1 resetkeys')
    const found = await violations(role, strict)
    expect(found.length).toBeGreaterThan(0)
    for (const line of found) expect(line).toMatch(/^gateway may not /)
  })
})

describe.each(['cache', 'state'] as const)('the users of the %s server', (role) => {
  const [, policy = ''] =
    /^maxmemory-policy (\S+)/m.exec(readFileSync(join(root, `infra/redis/${role}.conf`), 'utf8')) ?? []
  /** What each of them learns, and what the server wrote down that it had refused them. */
  async function ask(acl: string) {
    const { port } = await serverWith(acl, { 'maxmemory-policy': policy })
    const answers = await Promise.all(
      namesIn(acl).map(async (name) => {
        const redis = connectRedis(`redis://${name}:${passwords[name]}@127.0.0.1:${port}`, { name })
        onTestFinished(() => closeRedis(redis))
        await whenReady(redis, 10_000)
        return checkEvictionPolicy(redis, role)
      }),
    )
    const asAdmin = new Redis({ port, ...admin })
    onTestFinished(() => asAdmin.disconnect())
    return { answers, refusals: (await asAdmin.call('ACL', 'LOG')) as unknown[] }
  }
  const acl = aclFile(role, families, passwords)

  it('connect without being refused anything, and learn that its eviction is as their role needs it', async () => {
    expect(await ask(acl)).toEqual({ answers: namesIn(acl).map(() => ({ status: 'ok', policy })), refusals: [] })
  })

  it('would not learn it without INFO, and fill the log of refusals', async () => {
    const { answers, refusals } = await ask(acl.replaceAll(' +info', ''))
    expect(answers).toEqual(namesIn(acl).map(() => ({ status: 'unknown' })))
    expect(refusals.length).toBeGreaterThan(0)
  })
})

describe('what a script wrote', () => {
  it('is there when the server was killed and started again', async () => {
    expect(await afterCrash(aclFile('state', families, passwords))).toEqual(['1', '2'])
  })

  it('is lost when the default user, in whose name Redis reads its file, has no permissions; Valkey reads it in its own name', async () => {
    const strict = aclFile('state', families, passwords).replace(/^user default .*$/m, 'user default off')
    expect(await afterCrash(strict)).toEqual((await isValkey()) ? ['1', '2'] : [null, null])
  })
})

it('lets who publishes wait for the disk, where the server can say, and block on no type that it does not declare', async () => {
  const redis = await serverWith(aclFile('state', families, passwords))
  const asAdmin = new Redis({ port: redis.port, ...admin })
  onTestFinished(() => asAdmin.disconnect())
  const [knowsIt] = (await asAdmin.command('INFO', 'waitaof')) as unknown[]
  const mayRun = (user: string, ...command: string[]) => asAdmin.call('ACL', 'DRYRUN', user, ...command)
  if (knowsIt) expect(await mayRun('order', 'waitaof', '1', '0', '100')).toBe('OK')
  if (knowsIt) expect(await mayRun('user', 'waitaof', '1', '0', '100')).toContain('no permissions to run')
  for (const command of ['blpop order:x 1', 'blmove order:x order:y left left 1', 'wait 1 1']) {
    expect(await mayRun('order', ...command.split(' '))).toContain('no permissions to run')
  }
})

it('a right that is new is in force without a restart, by a user that may do nothing else', async () => {
  const server = await serverWith(aclFile('state', [], passwords))
  const [asLoader, asAdmin] = [{ username: 'loader', password: passwords.loader }, admin].map((login) => {
    const redis = new Redis({ port: server.port, ...login, enableReadyCheck: false, disableClientInfo: true })
    redis.on('error', () => {}) // Redis 7.0 cuts every connection when it loads the file
    onTestFinished(() => redis.disconnect())
    return redis
  }) as [Redis, Redis]
  const mayCreate = () => asAdmin.call('ACL', 'DRYRUN', 'order', 'HSET', 'order:cart:{1}', 'f', 'v').catch(String)
  expect(await mayCreate()).toContain('not found')
  const [, aclfile] = (await asAdmin.config('GET', 'aclfile')) as [string, string]
  writeFileSync(aclfile, `${aclFile('state', families, passwords)}${adminLine}`)
  expect(await asLoader.call('ACL', 'LOAD')).toBe('OK')
  await expect.poll(mayCreate).toBe('OK')
  for (const command of [
    ['ACL', 'SETUSER', 'x'],
    ['ACL', 'LIST'],
    ['ACL', 'SAVE'],
    ['GET', 'order:cart:{1}'],
    ['CONFIG', 'GET', '*'],
  ]) {
    await expect(asLoader.call(...(command as [string, ...string[]]))).rejects.toThrow('NOPERM')
  }
})

it('has no user for a service without keys on that server', () => {
  for (const role of ['cache', 'state'] as const) {
    const declared = serviceNames.filter((name) => (services[name].redis as readonly KeyRole[]).includes(role))
    expect(namesIn(aclFile(role, families, passwords)).toSorted()).toEqual(declared.toSorted())
  }
})

it('contains no password', () => {
  const text = aclFile('state', families, passwords)
  for (const password of Object.values(passwords)) expect(text).not.toContain(password)
})

async function isValkey(): Promise<boolean> {
  const server = await startRedis()
  const redis = new Redis(server.port)
  onTestFinished(async () => {
    redis.disconnect()
    await server.stop()
  })
  return (await redis.info('server')).includes('valkey_version:')
}

/** Two keys that one script sets, as they are after SIGKILL and a start from the append-only file. */
async function afterCrash(acl: string): Promise<(string | null)[]> {
  const server = await serverWith(acl, { appendonly: 'yes', appendfsync: 'always' })
  const write = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 2)"
  const keys = ['{x}:a', '{x}:b']
  const before = new Redis({ port: server.port, ...admin })
  await before.eval(write, keys.length, ...keys)
  before.disconnect()
  await server.kill('SIGKILL')
  await server.restart()
  const after = new Redis({ port: server.port, ...admin })
  onTestFinished(() => after.disconnect())
  return after.mget(...keys)
}

/** Of the users in this ACL text on a server of their own; operators are checked by what their line says. */
async function violations(role: KeyRole, acl: string, passwordOf = (name: string) => passwords[name] as string) {
  const redis = await serverWith(acl)
  return aclViolations({
    port: redis.port,
    admin,
    passwords: Object.fromEntries(namesIn(acl).map((name) => [name, passwordOf(name)])),
    families: families.filter((family) => family.role === role),
  })
}

async function serverWith(acl: string, config: Record<string, string> = {}): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'shop-acl-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const aclfile = join(dir, 'users.acl')
  writeFileSync(aclfile, `${acl.trim()}\n${adminLine}`)
  const redis = await startRedis({ ...admin, config: { aclfile, ...config } })
  onTestFinished(() => redis.stop())
  return redis
}

function namesIn(acl: string): string[] {
  const operators = ['default', 'health', 'audit', 'loader', 'viewer']
  return [...acl.matchAll(/^user (\S+)/gm)]
    .map(([, name]) => name as string)
    .filter((name) => !operators.includes(name))
}

/** What a script calls and no service may. A command with subcommands is granted by subcommand. */
async function refusedCommands(script: string): Promise<string[]> {
  const acl = aclFile('state', families, passwords)
  const server = await serverWith(acl)
  const asAdmin = new Redis({ port: server.port, ...admin })
  onTestFinished(() => asAdmin.disconnect())
  const called = new Set(
    [...script.matchAll(/redis\.p?call\(\s*(?:'(\w+)'(?:\s*,\s*'(\w+)')?)?/g)].map(([, name, word]) =>
      name && ['xinfo', 'xgroup', 'client', 'script'].includes(name.toLowerCase()) ? `${name} ${word}` : (name ?? ''),
    ),
  )
  const refused = await Promise.all(
    [...called].map(async (command) => {
      if (command === '') return ['a command that is not a literal']
      const answers = await Promise.all(namesIn(acl).map((user) => dryRun(asAdmin, user, command)))
      return answers.every((answer) => /no permissions to run/.test(answer))
        ? [command.toLowerCase().replace(' ', '|')]
        : []
    }),
  )
  return refused.flat()
}

/** With enough arguments for any command. */
async function dryRun(asAdmin: Redis, user: string, command: string): Promise<string> {
  const [info] = (await asAdmin.call('COMMAND', 'INFO', command.replace(' ', '|'))) as [[string, arity: number]]
  const parts = command.split(' ')
  const filler = Array.from({ length: Math.max(0, Math.abs(info[1]) - parts.length) }, () => '1')
  return String(await asAdmin.call('ACL', 'DRYRUN', user, ...parts, ...filler).catch((error: Error) => error.message))
}
