/** The command line of `npm run streams`. */
import { defaultAdminEmail } from '../command-line/admin-session.ts'
import { parseArguments, shopUrl, wholeNumber } from '../command-line/arguments.ts'

export type Command =
  | { name: 'list' }
  | { name: 'dead list'; topic: string; limit: number }
  | { name: 'dead show'; topic: string; id: string }
  | { name: 'redrive'; topic: string; id: string }
  | { name: 'redrive all'; topic: string }
  | { name: 'discard'; topic: string; id: string }

export interface StreamsOptions {
  url: string
  /** Of the administrator. */
  email: string
  /** Print what the shop answered, for programs. */
  json: boolean
  /** Do not ask before what cannot be undone. */
  yes: boolean
  command: Command
}

export const help = `Show the streams between the services, and handle dead letters.

  npm run streams -- <command> [options]

  list                     all topics, with the lag of each group and the number
                           of dead letters
  dead list <topic>        the dead letters of a topic, the oldest first within
                           each partition
  dead show <topic> <id>   one dead letter, with its body and the failure
  redrive <topic> <id>     return it to the stream, for the group that failed
  redrive <topic> --all    return all present dead letters
  discard <topic> <id>     delete it

  --url URL       the shop      (default SHOP_URL, else http://localhost:8080)
  --email EMAIL   an administrator
                          (default SHOP_ADMIN_EMAIL, else ${defaultAdminEmail})
  --limit N       most dead letters to list                       (default 50)
  --json          print the shop's answer as JSON
  --yes           do not ask before --all and discard
  --help          this text

The administrator's password is read from SHOP_ADMIN_PASSWORD or the terminal.
\`npm run demo\` prints it, \`docker compose run --rm setup accounts\` too.
A topic is named like order:events.

Exit code: 0 done, 1 failed or some streams unavailable, 2 invalid options.
`

/** Throws an Error with a sentence for the person who typed it. */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): StreamsOptions | 'help' {
  const { values, positionals } = parseArguments({
    args: [...args],
    allowPositionals: true,
    options: {
      url: { type: 'string', default: env.SHOP_URL || 'http://localhost:8080' },
      email: { type: 'string', default: env.SHOP_ADMIN_EMAIL || defaultAdminEmail },
      limit: { type: 'string', default: '50' },
      all: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || positionals.length === 0) return 'help'
  const limit = wholeNumber('--limit', values.limit, 1)
  const { url, email, json, yes, all } = values
  return { url: shopUrl(url), email, json, yes, command: commandOf(positionals, all, limit) }
}

/** What follows each verb. */
const wanted: Record<Command['name'], readonly string[]> = {
  list: [],
  'dead list': ['topic'],
  'dead show': ['topic', 'id'],
  redrive: ['topic', 'id'],
  'redrive all': ['topic'],
  discard: ['topic', 'id'],
}

function commandOf(words: readonly string[], all: boolean, limit: number): Command {
  const [verb = '', ...rest] = words[0] === 'dead' ? [`dead ${words[1] ?? ''}`, ...words.slice(2)] : words
  if (all && verb !== 'redrive') throw new Error('Use --all with redrive only.')
  const name = (all ? 'redrive all' : verb) as Command['name']
  const parts = wanted[name]
  if (parts === undefined) throw new Error(`Unknown command "${words.join(' ')}".`)
  if (parts.length !== rest.length) throw new Error(`Usage: ${[verb, ...parts.map((part) => `<${part}>`)].join(' ')}`)
  const [topic = '', id = ''] = rest
  return { name, topic, id, limit } as Command
}
