/** The Redis user `viewer` on a real server: it reads what is not hidden, and changes nothing. */
import { aclFile } from '@shop/redis-kit/acl'
import { categoriesByType, keyReadCommands, sizeCommands } from '@shop/redis-kit/acl/commands'
import type { KeyFamily } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'

const families = await readKeyFamilies()
const passwords = { viewer: 'viewer-password' }
const admin = { username: 'admin', password: 'for-this-test-only' }
const sizes = { string: 'STRLEN', hash: 'HLEN', list: 'LLEN', set: 'SCARD', zset: 'ZCARD', stream: 'XLEN' } as const
const reads = {
  string: (key: string) => ['GET', key],
  hash: (key: string) => ['HGETALL', key],
  list: (key: string) => ['LRANGE', key, '0', '-1'],
  set: (key: string) => ['SMEMBERS', key],
  zset: (key: string) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
  stream: (key: string) => ['XRANGE', key, '-', '+', 'COUNT', '1'],
}

describe.each(['cache', 'state'] as const)('the viewer of the %s server', (role) => {
  const acl = aclFile(role, families, passwords)
  const ofRole = families.filter((family) => family.role === role)

  test('reads the values of each family that is not hidden, and the type, TTL and size of all', async () => {
    const mayRun = await dryRun(acl)
    for (const family of ofRole) expect(await accessTo(family, mayRun)).toEqual(accessWanted(family))
  })

  test('runs no command that writes, runs scripts, administers or endangers the server, but INFO', async () => {
    expect(await forbiddenCommands(acl)).toEqual([])
  })

  test('is caught when it may do more', async () => {
    const open = acl.replace(/^user viewer on (\S+).*$/m, 'user viewer on $1 allkeys allchannels allcommands')
    expect(await forbiddenCommands(open)).toEqual(expect.arrayContaining(['set', 'eval', 'flushall', 'config|get']))
    const hidden = ofRole.filter((family) => family.hidden !== undefined)
    const mayRun = await dryRun(open)
    for (const family of hidden) expect(await accessTo(family, mayRun)).not.toEqual(accessWanted(family))
  })

  test('sees every key by SCAN', async () => {
    const { port, asAdmin } = await serverWith(acl)
    const keys = ofRole.filter(({ type }) => type === 'string').map(({ exampleKey }) => exampleKey)
    await asAdmin.mset(Object.fromEntries(keys.map((key) => [key, '1'])))
    const asViewer = new Redis({ port, username: 'viewer', password: passwords.viewer, enableReadyCheck: false })
    onTestFinished(() => asViewer.disconnect())
    const [, found] = await asViewer.scan(0, 'COUNT', 1_000)
    expect(found.sort()).toEqual(keys.sort())
  })
})

describe('of a key that is hidden', () => {
  const hidden = families.filter((family) => family.hidden !== undefined)
  const shown = [...keyReadCommands, ...sizeCommands].sort()

  test.each(hidden)(
    '$pattern, the viewer may run the commands for type, TTL and size, and no other',
    async (family) => {
      expect(await commandsOn(family, aclFile(family.role, families, passwords))).toEqual(shown)
    },
  )

  test('one command more is found', async () => {
    const family = hidden.find(({ type }) => type === 'hash') as KeyFamily
    const acl = aclFile(family.role, families, passwords)
    const planted = acl.replace(/^(user viewer on \S+ .*?)%R~/m, '$1+hget %R~')
    expect(await commandsOn(family, planted)).toEqual([...shown, 'hget'].sort())
  })
})

test('sessions, carts and answers of one person are hidden, and nothing else is', () => {
  const hidden = families.filter((family) => family.hidden !== undefined).map(({ pattern }) => pattern)
  expect(hidden, 'the families with `hidden`: add yours to the list in infra/setup/viewer.test.ts').toEqual([
    'order:cart:<owner>',
    'order:idempotency:checkout:<tenant>:<request>',
    'user:session:{<tag>}:<handle>',
  ])
})

type MayRun = (command: readonly string[]) => Promise<boolean>

async function accessTo({ type, exampleKey: key, pattern }: KeyFamily, mayRun: MayRun) {
  if (type === 'channel') {
    const [listen, speak] = await Promise.all([mayRun(['SUBSCRIBE', key]), mayRun(['PUBLISH', key, 'x'])])
    return { pattern, listen, speak }
  }
  const [known, sized, read, removed] = await Promise.all([
    mayRun(['PTTL', key]),
    mayRun([sizes[type], key]),
    mayRun(reads[type](key)),
    mayRun(['UNLINK', key]),
  ])
  return { pattern, known, sized, read, removed }
}

function accessWanted({ type, hidden, pattern }: KeyFamily) {
  const read = hidden === undefined
  if (type === 'channel') return { pattern, listen: read, speak: false }
  return { pattern, known: true, sized: true, read, removed: false }
}

/** By the server's own categories. */
async function forbiddenCommands(acl: string): Promise<string[]> {
  const { asAdmin } = await serverWith(acl)
  const categories = ['write', 'scripting', 'admin', 'dangerous']
  const names = (await namesIn(asAdmin, categories)).filter((name) => name !== 'info')
  const mayRun = asViewer(asAdmin)
  const found = await Promise.all(
    (await infoOf(asAdmin, names)).map(async ([name, arity]) => {
      const words = name.split('|')
      const filler = Array.from({ length: Math.max(0, Math.abs(arity) - words.length) }, () => '1')
      return (await mayRun([...words, ...filler])) ? [name] : []
    }),
  )
  return found.flat()
}

/** Of all that read, and of all that work on the type: what the viewer may run on the family's example key. */
async function commandsOn({ type, exampleKey }: KeyFamily, acl: string): Promise<string[]> {
  const { asAdmin } = await serverWith(acl)
  const mayRun = asViewer(asAdmin)
  const names = await namesIn(asAdmin, ['read', ...categoriesByType[type]])
  const found = await Promise.all(
    (await infoOf(asAdmin, names)).map(async (info) => {
      const takesKey = info[8].some(([, flags]) => !flags.includes('not_key')) // Valkey's CLUSTERSCAN declares a place for a slot
      if (!takesKey) return []
      return (await mayRun(await commandOn(asAdmin, info, exampleKey))) ? [info[0]] : []
    }),
  )
  return found.flat().sort()
}

/** The command with the key in a place where the server finds it: a rule about keys is not asked for a command without one. */
async function commandOn(asAdmin: Redis, [name, arity]: CommandInfo, key: string): Promise<string[]> {
  const words = name.split('|')
  for (const places of [[key], ['1', key], ['STREAMS', key, '0'], ['GROUP', 'g', 'c', 'STREAMS', key, '0']]) {
    const fillerCount = Math.max(0, Math.abs(arity) - words.length - places.length)
    const command = [...words, ...places, ...Array.from({ length: fillerCount }, () => '1')]
    const keys = await asAdmin.call('COMMAND', 'GETKEYS', ...command).catch(() => [])
    if ((keys as string[]).includes(key)) return command
  }
  throw new Error(`no place for the key of ${name} is known here`)
}

async function namesIn(asAdmin: Redis, categories: readonly string[]): Promise<string[]> {
  const listed = await Promise.all(categories.map((name) => asAdmin.call('ACL', 'CAT', name) as Promise<string[]>))
  return [...new Set(listed.flat())]
}

type CommandInfo = readonly [
  name: string,
  arity: number,
  flags: unknown,
  first: number,
  last: number,
  step: number,
  categories: unknown,
  tips: unknown,
  keySpecs: readonly (readonly [label: 'flags', flags: readonly string[], ...unknown[]])[],
]

async function infoOf(asAdmin: Redis, names: readonly string[]): Promise<CommandInfo[]> {
  const infos = (await asAdmin.call('COMMAND', 'INFO', ...names)) as (CommandInfo | null)[]
  return infos.filter((info) => info !== null)
}

async function dryRun(acl: string): Promise<MayRun> {
  return asViewer((await serverWith(acl)).asAdmin)
}

/** Errors other than a missing permission are thrown: they prove nothing. */
function asViewer(asAdmin: Redis): MayRun {
  return async ([name = '', ...args]) => {
    const answer = String(await asAdmin.call('ACL', 'DRYRUN', 'viewer', name, ...args))
    if (answer === 'OK') return true
    if (/no permissions/i.test(answer)) return false
    throw new Error(`ACL DRYRUN ${name} answers ${answer}`)
  }
}

async function serverWith(acl: string): Promise<{ port: number; asAdmin: Redis }> {
  const server = await startRedis({
    ...admin,
    acl: `${acl}user ${admin.username} on >${admin.password} allkeys allchannels allcommands\n`,
  })
  const asAdmin = new Redis({ port: server.port, ...admin })
  onTestFinished(async () => {
    asAdmin.disconnect()
    await server.stop()
  })
  return { port: server.port, asAdmin }
}
