/** Each command of a real server, group by group: it comes with a type, it is common to all services, or a reason says why not. */
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { type KeyType, keyFamily } from '../keys.ts'
import { aclFile } from './acl.ts'
import { withheld } from './commands.ts'

/** COMMAND DOCS' groups of each type. */
const groupsByType: Record<KeyType, readonly string[]> = {
  string: ['string', 'bitmap', 'hyperloglog'],
  hash: ['hash'],
  list: ['list'],
  set: ['set'],
  zset: ['sorted-set', 'geo'],
  stream: ['stream'],
  channel: ['pubsub'],
}
const types = Object.keys(groupsByType) as KeyType[]
const commonGroups = ['generic', 'connection', 'transactions', 'scripting']
/** In `server` and `cluster`, where everything else is withheld. */
const grantedElsewhere = words('time info memory|usage cluster|slots cluster|info asking readonly readwrite')
/** The server grants these to every user, whatever the file says. */
const grantedByServer = words('auth hello quit reset')
/** The oldest server that is served: no file may name a command that it has not got. */
const floor = 7_000_015

interface Documented {
  name: string
  group: string
  since: number
}

const password = 'for-this-test-only'
const families = types.map((type) =>
  keyFamily({
    service: `only-${type}`,
    pattern: `${type}:<id>`,
    type,
    role: 'state',
    ttl: { ms: 1 },
    example: [1],
    doc: 'a key of this test',
    sharedWith: { all: 'write' },
  }),
)
const shared = keyFamily({
  service: 'owner',
  pattern: 'shared:<id>',
  type: 'hash',
  role: 'state',
  ttl: { ms: 1 },
  example: [1],
  doc: 'a key of this test',
  sharedWith: { reader: 'read' },
})
const users = [...types.map((type) => `only-${type}`), 'all', 'owner', 'reader']
const acl = aclFile('state', [...families, shared], Object.fromEntries(users.map((name) => [name, password])))
const server = await startRedis({
  username: 'admin',
  password,
  acl: `${acl}user admin on >${password} allkeys allchannels allcommands\n`,
})
const admin = new Redis({ port: server.port, username: 'admin', password })
afterAll(async () => {
  admin.disconnect()
  await server.stop()
})
const documented = await readDocs()
const granted = Object.fromEntries(await Promise.all(users.map(async (name) => [name, await grantedTo(name)] as const)))

describe.each(types)('a service with a key of type %s', (type) => {
  const ofType = documented.filter(({ group }) => groupsByType[type].includes(group))

  test('is granted each command of the type, or there is a reason why not', () => {
    expect(ofType.length).toBeGreaterThan(5)
    const missing = ofType.filter(({ name }) => !granted[`only-${type}`]?.has(name) && !isDecided(name))
    expect(missing).toEqual([])
  })

  test('is granted no command of another type', () => {
    const ofOthers = documented.filter(
      ({ name, group }) =>
        types.some((other) => other !== type && groupsByType[other].includes(group)) && name !== 'waitaof',
    )
    // What publishes on a stream blocks on streams only; XREAD and XREADGROUP are of its own type.
    expect(ofOthers.filter(({ name }) => granted[`only-${type}`]?.has(name))).toEqual([])
  })
})

test.each(commonGroups)('each command of the group %s is granted, or there is a reason why not', (group) => {
  const undecided = documented.filter(
    ({ name, since, ...command }) =>
      command.group === group && since <= floor && !granted.all?.has(name) && !isDecided(name),
  )
  expect(undecided).toEqual([])
})

test.each(['server', 'cluster', 'sentinel', 'module'])(
  'of the group %s nothing is granted but what is named',
  (group) => {
    const found = documented.filter((command) => command.group === group && granted.all?.has(command.name))
    expect(found.map(({ name }) => name).filter((name) => !grantedElsewhere.includes(name))).toEqual([])
  },
)

test('nothing that the server calls dangerous or administrative is granted, but INFO', async () => {
  const names = (
    await Promise.all(['dangerous', 'admin'].map((one) => admin.call('ACL', 'CAT', one)))
  ).flat() as string[]
  expect([...new Set(names)].filter((name) => granted.all?.has(name))).toEqual(['info'])
})

test('no command is both granted and withheld, and each that is withheld exists', () => {
  const names = new Set(documented.map(({ name }) => name))
  expect(Object.keys(withheld).filter((name) => granted.all?.has(name))).toEqual([])
  expect(Object.keys(withheld).filter((name) => !names.has(name) && name !== 'restore-asking')).toEqual([])
})

test('who may only read a key reads it by each command of its type, and changes nothing', async () => {
  const mayRun = (...command: string[]) => admin.call('ACL', 'DRYRUN', 'reader', ...command)
  for (const command of ['HGETALL', 'HSCAN', 'TTL', 'TYPE', 'EXISTS']) {
    expect([command, await mayRun(command, 'shared:1', ...(command === 'HSCAN' ? ['0'] : []))]).toEqual([command, 'OK'])
  }
  for (const command of [
    'HSET shared:1 f v',
    'HDEL shared:1 f',
    'DEL shared:1',
    'EXPIRE shared:1 1',
    'HGETALL string:1',
  ]) {
    expect([command, await mayRun(...command.split(' '))]).not.toEqual([command, 'OK'])
  }
})

test('a user without a password is an error, and no line of the file', () => {
  expect(() => aclFile('state', families, { 'only-hash': undefined as unknown as string })).toThrow(
    'the Redis user only-hash has no password',
  )
  expect(() => aclFile('state', families, { 'only-hash': '' })).toThrow('has no password')
})

function isDecided(name: string): boolean {
  return name in withheld || grantedByServer.includes(name)
}

/** Every command and subcommand of this server. A command that has subcommands is one only through them. */
async function readDocs(): Promise<Documented[]> {
  const reply = (await admin.call('COMMAND', 'DOCS')) as unknown[]
  return pairs(reply).flatMap(([name, fields]) => {
    const command = new Map(pairs(fields as unknown[]))
    const subcommands = pairs((command.get('subcommands') ?? []) as unknown[])
    const describe = (full: string, doc: Map<string, unknown>) => ({
      name: full,
      group: String(doc.get('group')),
      since: versionOf(String(doc.get('since'))),
    })
    if (subcommands.length === 0) return [describe(name, command)]
    return subcommands.map(([full, doc]) => describe(full, new Map(pairs(doc as unknown[]))))
  })
}

/** By ACL DRYRUN, with as many arguments as the command needs. Refused keys do not matter here. */
async function grantedTo(user: string): Promise<Set<string>> {
  const names = documented.map(({ name }) => name)
  const infos = (await admin.call('COMMAND', 'INFO', ...names)) as ([name: string, arity: number] | null)[]
  const answers = await Promise.all(
    infos.map((info) => {
      if (info === null) return 'unknown'
      const parts = info[0].split('|')
      const filler = Array.from({ length: Math.max(0, Math.abs(info[1]) - parts.length) }, () => '1')
      return admin.call('ACL', 'DRYRUN', user, ...parts, ...filler).catch((error: Error) => error.message)
    }),
  )
  return new Set(names.filter((_, i) => !/unknown|no permissions to run the/.test(String(answers[i]))))
}

function pairs(list: unknown[]): [string, unknown][] {
  return Array.from({ length: list.length / 2 }, (_, i) => [String(list[2 * i]), list[2 * i + 1]])
}

/** 7.0.15 -> 7000015 */
function versionOf(text: string): number {
  const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
  return major * 1_000_000 + minor * 1_000 + patch
}

function words(text: string): string[] {
  return text.split(' ')
}
