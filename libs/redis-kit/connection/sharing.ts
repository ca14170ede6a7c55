/**
 * What one caller may not do to a connection that others use too. Three harms, by the complete list of commands (sharing.test.ts
 * compares it with the server's own list):
 *
 *     changes   the connection itself: its user, database, protocol, mode, replies. The others' commands would be read
 *               in that state, and a new connection would not have it
 *     blocks    the connection until something happens: the others' commands stand behind. Allowed for role `blocking`
 *     stops     the server, for every client it has. An operator does that, with a connection of their own
 *
 * What changes data or settings (FLUSHALL, CONFIG, REPLICAOF) leaves the connection as it was: that is for the ACL to forbid.
 */
import type { Command } from 'ioredis'

type Harm = 'changes' | 'blocks' | 'stops'
type Rule = Harm | ((command: Command) => Harm | undefined)

const listed = (harm: Harm, names: string): [string, Rule][] => names.split(' ').map((name) => [name, harm])

/** Of CLIENT what only asks. What a newer server adds is more likely to change the connection. */
const CLIENT_QUESTIONS = new Set(['getname', 'getredir', 'help', 'id', 'info', 'list', 'trackinginfo'])
const CLIENT_STOPS = new Set(['kill', 'pause', 'unblock', 'unpause'])

const RULES = new Map<string, Rule>([
  ...listed('changes', 'asking auth hello quit readonly readwrite reset select'),
  ...listed('changes', 'discard exec multi unwatch watch'),
  ...listed('changes', 'monitor psync replconf sync'),
  ...listed('changes', 'psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe'),
  ...listed('blocks', 'blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait waitaof'),
  ...listed('stops', 'backup debug failover migrate pfselftest restore-asking save shutdown trimslots'),
  ['client', clientHarm],
  ['function', ({ args }) => (word(args[0]) === 'kill' ? 'stops' : undefined)],
  ['script', scriptHarm],
  ['xread', readHarm],
  ['xreadgroup', readHarm],
])

/** Undefined for the great majority: commands that answer at once and leave the connection as it was. */
export function harmOf(command: Command): Harm | undefined {
  const rule = RULES.get(command.name) ?? RULES.get(command.name.toLowerCase())
  return typeof rule === 'function' ? rule(command) : rule
}

/** Blocks the connection until something happens or a time is up: not sent again, and on a shared connection not at all. */
export const isBlocking = (command: Command): boolean => harmOf(command) === 'blocks'

export function refusalOf(command: Command, harm: Harm): TypeError {
  const [name, subcommand] = [command.name.toUpperCase(), word(command.args[0]).toUpperCase()]
  const text = name === 'CLIENT' || name === 'SCRIPT' || name === 'FUNCTION' ? `${name} ${subcommand}` : name
  const reasons: Record<Harm, string> = {
    changes: 'changes a shared connection: use a separate one',
    blocks: "blocks a shared connection: use one of role 'blocking'",
    stops: 'stops the server for every client: only operators may run it, on a separate connection',
  }
  return new TypeError(`${text} ${reasons[harm]}`)
}

function clientHarm({ args }: Command): Harm | undefined {
  const subcommand = word(args[0])
  if (CLIENT_STOPS.has(subcommand)) return 'stops'
  return CLIENT_QUESTIONS.has(subcommand) ? undefined : 'changes'
}

function scriptHarm({ args }: Command): Harm | undefined {
  const subcommand = word(args[0])
  if (subcommand === 'kill') return 'stops'
  return subcommand === 'debug' ? 'changes' : undefined
}

/** With BLOCK among the options, which end at STREAMS. A group or a consumer may be called `block`, and is not an option. */
function readHarm({ args }: Command): Harm | undefined {
  for (let i = 0; i < args.length; i += 1) {
    const option = word(args[i])
    if (option === 'streams') return undefined
    if (option === 'block') return 'blocks'
    i += OPTION_VALUES.get(option) ?? 0
  }
  return undefined
}
/** How many values follow an option of XREAD and XREADGROUP. */
const OPTION_VALUES = new Map([
  ['group', 2],
  ['count', 1],
  ['claim', 1],
])

/** Arguments may be Buffers. */
function word(argument: unknown): string {
  return String(argument ?? '').toLowerCase()
}
