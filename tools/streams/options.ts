/** The command line of `npm run streams`. */
import { defaultAdminEmail } from '../admin-session.ts'
import { parseArguments, shopUrl, wholeNumber } from '../arguments.ts'

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

export const help = `See the streams between the services, and handle what a service has given up.

  npm run streams -- <command> [options]

  list                     each topic: how far behind every group is, and how
                           many dead letters there are
  dead list <topic>        the dead letters of a topic, the oldest first within
                           each partition
  dead show <topic> <id>   one of them, with its body and the failure
  redrive <topic> <id>     put it back on the stream, for the group that failed
  redrive <topic> --all    all that are there now
  discard <topic> <id>     throw it away

  --url URL       the shop      (default SHOP_URL, else http://localhost:8080)
  --email EMAIL   an administrator
                          (default SHOP_ADMIN_EMAIL, else ${defaultAdminEmail})
  --limit N       how many dead letters to list                   (default 50)
  --json          what the shop answered, for programs
  --yes           do not ask before --all and discard
  --help          this text

The administrator's password is asked for, or taken from SHOP_ADMIN_PASSWORD.
\`npm run demo\` prints it, \`docker compose run --rm setup accounts\` too.
A topic is named like order:events.
Exit code: 0 it was done, 1 it was not done or not all of it could be seen,
2 a wrong option.
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
  if (all && verb !== 'redrive') throw new Error('--all is for redrive only.')
  const name = (all ? 'redrive all' : verb) as Command['name']
  const parts = wanted[name]
  if (parts === undefined) throw new Error(`There is no command "${words.join(' ')}".`)
  if (parts.length !== rest.length) throw new Error(`It is: ${[verb, ...parts.map((part) => `<${part}>`)].join(' ')}`)
  const [topic = '', id = ''] = rest
  return { name, topic, id, limit } as Command
}
