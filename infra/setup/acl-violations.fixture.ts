/**
 * What a Redis lets a service do that it should not, and what it refuses although the service needs it; empty when the ACL is right.
 * Key rules are tried for real, with commands and from scripts. Dangerous commands are only asked about (ACL DRYRUN): the
 * check must survive a server that allows them.
 */
import type { KeyFamily, KeyType } from '@shop/redis-kit/keys'
import { Redis } from 'ioredis'

type Command = readonly [name: string, ...args: string[]]

/** One command that reads and one that writes, by type. Of a channel: to listen and to speak. */
const probes: Record<Exclude<KeyType, 'channel'>, (key: string) => { read: Command; write: Command }> = {
  string: (key) => ({ read: ['GET', key], write: ['SET', key, '1'] }),
  hash: (key) => ({ read: ['HGETALL', key], write: ['HSET', key, 'field', '1'] }),
  list: (key) => ({ read: ['LRANGE', key, '0', '-1'], write: ['RPUSH', key, '1'] }),
  set: (key) => ({ read: ['SMEMBERS', key], write: ['SADD', key, 'member'] }),
  zset: (key) => ({ read: ['ZRANGE', key, '0', '-1'], write: ['ZADD', key, '1', 'member'] }),
  stream: (key) => ({ read: ['XRANGE', key, '-', '+'], write: ['XADD', key, '*', 'field', '1'] }),
}

/** Not all are in a category of dangerous ones, but no service needs them. */
const neverNeeded = [
  'scan',
  'select',
  'randomkey',
  'dbsize',
  'script|load',
  'script|flush',
  'script|kill',
  'function|load',
]

/** Called dangerous by the server, and granted: see acl.ts. */
const grantedAllTheSame = 'info'

export interface AclCheck {
  port: number
  /** May do everything: asks the server on behalf of the others. */
  admin: { username: string; password: string }
  passwords: Readonly<Record<string, string>>
  /** Of this server's role. */
  families: readonly KeyFamily[]
}

export async function aclViolations({ port, admin, passwords, families }: AclCheck): Promise<string[]> {
  const asAdmin = connect(port, admin)
  try {
    const unneeded = await unneededCommands(asAdmin)
    const found: string[] = []
    for (const [service, password] of Object.entries(passwords)) {
      found.push(...(await commandViolations(asAdmin, service, unneeded)))
      const redis = connect(port, { username: service, password })
      for (const family of families) {
        found.push(...(await familyViolations(redis, asAdmin, service, family)))
      }
      redis.disconnect()
    }
    const asNobody = connect(port)
    const isOpen = await works(asNobody, ['PING'])
    asNobody.disconnect()
    if (isOpen) found.push('the default user may log in')
    return found
  } finally {
    asAdmin.disconnect()
  }
}

/** Everything that the server itself calls dangerous or administrative, but for the one. */
async function unneededCommands(asAdmin: Redis): Promise<Command[]> {
  const listed = await Promise.all(['dangerous', 'admin'].map((one) => asAdmin.call('ACL', 'CAT', one)))
  const names = [...new Set([...(listed.flat() as string[]), ...neverNeeded])].filter(
    (one) => one !== grantedAllTheSame,
  )
  const infos = (await asAdmin.call('COMMAND', 'INFO', ...names)) as ([name: string, arity: number] | null)[]
  return infos.flatMap((info) => {
    if (info === null) return []
    const words = info[0].split('|')
    // Arity counts the name, and the subcommand too; negative: at least so many.
    const missing = Math.max(0, Math.abs(info[1]) - words.length)
    return [[...words, ...Array.from({ length: missing }, () => '1')] as unknown as Command]
  })
}

async function commandViolations(asAdmin: Redis, service: string, commands: readonly Command[]): Promise<string[]> {
  const answers = await Promise.all(commands.map((command) => dryRun(asAdmin, service, command)))
  return commands.flatMap((command, i) =>
    /no permissions to run the/.test(answers[i] as string) ? [] : [`${service} may run ${command.join(' ')}`],
  )
}

async function familyViolations(redis: Redis, asAdmin: Redis, service: string, family: KeyFamily): Promise<string[]> {
  const access = family.service === service ? 'write' : family.sharedWith?.[service]
  const key = family.exampleKey
  const expected = (is: boolean, may: boolean, what: string) =>
    is === may ? [] : [`${service} ${is ? 'may' : 'may not'} ${what} ${key}`]
  if (family.type === 'channel') {
    const allowed = await Promise.all(
      [['SUBSCRIBE', key] as const, ['PUBLISH', key, '1'] as const].map((one) => dryRun(asAdmin, service, one)),
    )
    return allowed.flatMap((answer, i) =>
      expected(answer === 'OK', access === 'write', i === 0 ? 'listen to' : 'speak on'),
    )
  }
  const { read, write } = probes[family.type](key)
  const results: [is: boolean, may: boolean, what: string][] = [
    [await works(redis, write), access === 'write', 'write'],
    [await works(redis, read), access !== undefined, 'read'],
    [await works(redis, inScript(read)), access === 'write', 'read in a script'],
    // A declared key has to be writable; of an undeclared one only the command itself is checked, as outside of a script.
    [await works(redis, smuggled(read)), access !== undefined, 'read, undeclared, in a script'],
    [await works(redis, ['UNLINK', key]), access === 'write', 'remove'],
  ]
  return results.flatMap((result) => expected(...result))
}

function inScript([name, key, ...args]: Command): Command {
  return ['EVAL', `return redis.call('${name}', KEYS[1], unpack(ARGV))`, '1', key as string, ...args]
}

function smuggled([name, ...args]: Command): Command {
  return ['EVAL', `return redis.call('${name}', unpack(ARGV))`, '0', ...args]
}

async function works(redis: Redis, [name, ...args]: Command): Promise<boolean> {
  try {
    await redis.call(name, ...args)
    return true
  } catch (error) {
    // Another kind of error would prove nothing.
    if (
      !/^(NOPERM|NOAUTH|WRONGPASS)|ACL failure in script|The user executing the script can't/.test(
        (error as Error).message,
      )
    )
      throw error
    return false
  }
}

async function dryRun(asAdmin: Redis, service: string, command: Command): Promise<string> {
  return (await asAdmin.call('ACL', 'DRYRUN', service, ...command).catch((error: Error) => error.message)) as string
}

function connect(port: number, login?: { username: string; password: string }): Redis {
  const redis = new Redis({
    port,
    ...login,
    enableReadyCheck: false,
    disableClientInfo: true,
    retryStrategy: () => null,
  })
  return redis.on('error', () => {}) // the command that fails says it too
}
