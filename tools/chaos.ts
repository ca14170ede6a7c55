/** `npm run chaos`: faults from a seed against a demo of its own, under a gentle load, and the books compared at the end. */
import { parseArguments, wholeNumber } from './arguments.ts'
import { isUnbroken, runChaos } from './chaos/run.ts'
import { figuresText } from './chaos/text.ts'

const help = `Break a demo of its own in many ways while shoppers use it, and compare the
books at the end.

  npm run chaos -- [options]

  --minutes N    how long, 0.5 to 120           (default 5)
  --seed N       which faults, and when         (default: a random one, printed)
  --shoppers N   1 to 50                        (default 8)
  --keep         keep data and logs also when all was well
  --json         the figures as JSON
  --help         this text

Faults: services are killed and frozen. Both Redis roles and Postgres are
killed, frozen, cut off, slowed down as by a stalling disk, and made to refuse
writes. At the end orders, charges, stock, reservations, refunds, outboxes,
inboxes, streams and carts are compared.

Exit code: 0 the books balance, 1 something was lost, doubled or wrong, a
process ended by itself, or an answer was a 500, 2 it could not run.
Ctrl-C ends the run early and compares the books.
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
  throw new Error(`--minutes takes a number from 0.5 to 120, not "${text}".`)
}
