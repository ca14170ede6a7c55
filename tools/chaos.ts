/** `npm run chaos`: faults from a seed against a demo of its own, under a gentle load, and the books compared at the end. */

import { isUnbroken, runChaos } from './chaos/run.ts'
import { figuresText } from './chaos/text.ts'
import { parseArguments, wholeNumber } from './command-line/arguments.ts'

const help = `Inject faults into a demo of its own while shoppers use it, and check the books
at the end.

  npm run chaos -- [options]

  --minutes N    how long, 0.5 to 120           (default 5)
  --seed N       selects faults and times       (default: random, printed)
  --shoppers N   1 to 50                        (default 8)
  --keep         keep data and logs after a success too
  --json         the figures as JSON
  --help         this text

Services are killed and frozen. Both Redis roles and Postgres are killed,
frozen, cut off, slowed down as by a stalling disk, and made to refuse writes.
The books are orders, charges, stock, reservations, refunds, outboxes, inboxes,
streams and carts.

Ctrl-C ends the run early and checks the books.

Exit code:
  0  the books balance
  1  an entry is lost, doubled or wrong, a process ended by itself, or an
     answer was a 500
  2  the run failed
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const interrupted = new AbortController()
  try {
    const options = parse(args)
    if (options === 'help') {
      process.stdout.write(help)
      return 0
    }
    const { isJson, ...run } = options
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        interrupted.abort()
        process.once(signal, () => process.exit(130))
      })
    }
    const report = (line: string) => void process.stderr.write(`${line}\n`)
    report(`Seed ${run.seed}.`)
    const figures = await runChaos({ ...run, report, signal: interrupted.signal })
    process.stdout.write(isJson ? `${JSON.stringify(figures)}\n` : figuresText(figures))
    return isUnbroken(figures) ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nSee npm run chaos -- --help\n`)
    return 2
  }
}

function parse(args: string[]) {
  const { values } = parseArguments({
    args,
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
      shoppers: { type: 'string', default: '8' },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  return {
    totalMs: minutes(values.minutes) * 60_000,
    seed: wholeNumber('--seed', values.seed, 0, 2 ** 32 - 1),
    shopperCount: wholeNumber('--shoppers', values.shoppers, 1, 50),
    keepData: values.keep,
    isJson: values.json,
  }
}

function minutes(text: string): number {
  const value = Number(text)
  if (value >= 0.5 && value <= 120) return value
  throw new Error(`--minutes must be a number from 0.5 to 120, not "${text}".`)
}
