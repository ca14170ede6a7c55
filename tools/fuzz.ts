/** `npm run fuzz`: thousands of requests that are wrong in some way, over every route of the shop's own description. */
import { randomInt } from 'node:crypto'
import { parseArguments, wholeNumber } from './command-line/arguments.ts'
import { counted } from './command-line/counted.ts'
import { fuzz, nameOf, type Result, tableOf } from './fuzz/run.ts'
import { type Shop, startShop } from './fuzz/shop.ts'

const help = `Send invalid requests to every route and report wrong answers: a 5xx, no answer,
a stack trace, a refusal that is not problem+json, an undocumented status or
body.

  npm run fuzz -- [options]

  --seed N         repeats the same requests (default: random, printed)
  --requests N     at least 1                (default 10000)
  --url URL        a running shop, instead of one of its own
  --admin EMAIL:PASSWORD   an administrator of that shop
  --help           this text

The requests change the data of the shop at --url. Raise its limits first:

  npm run demo -- --env gateway:RATE_LIMIT_FILE=apps/gateway/limits/ample.yaml

Exit code: 0 no findings, 1 findings or a failed run, 2 invalid options.
`
const maxShown = 20

process.exitCode = await main()

async function main(): Promise<number> {
  const options = read()
  if (typeof options === 'number') return options
  const { seed, requestCount, url, admin } = options
  process.stdout.write(`seed ${seed}, ${counted(requestCount, 'request')}\n`)
  const shop = url === undefined ? await startShop() : running(url, admin)
  const interrupt = () => void shop.stop().then(() => process.exit(130))
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  let exitCode = 1
  try {
    const onProgress = (count: number) => process.stderr.write(`${count} of ${requestCount}\n`)
    exitCode = report(await fuzz(shop, { seed, requestCount, onProgress }))
    return exitCode
  } finally {
    await shop.stop(exitCode !== 0)
  }
}

function report(result: Result): number {
  process.stdout.write(`\n${tableOf(result)}\n`)
  for (const { request, status, problems, body, command } of result.findings.slice(0, maxShown)) {
    const name = nameOf(request)
    process.stdout.write(`\n${name} as ${request.role}: ${status}; ${problems.join('; ')}\n${body}\n  ${command}\n`)
  }
  process.stdout.write(`\n${counted(result.findings.length, 'finding')}\n`)
  return result.findings.length === 0 ? 0 : 1
}

function running(url: string, admin: string | undefined): Shop {
  const [email = '', password = ''] = admin?.split(/:(.*)/s) ?? []
  const accounts = admin === undefined ? [] : [{ email, password, role: 'admin' as const }]
  return { url: url.replace(/\/$/, ''), accounts, stop: async () => {} }
}

function read() {
  try {
    const { values } = parseArguments({
      options: {
        seed: { type: 'string', default: String(randomInt(2 ** 31)) },
        requests: { type: 'string', default: '10000' },
        url: { type: 'string' },
        admin: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(help)
      return 0
    }
    const seed = wholeNumber('--seed', values.seed, 0)
    const requestCount = wholeNumber('--requests', values.requests, 1)
    if (values.url !== undefined && !URL.canParse(values.url)) throw new Error('--url must be a URL.')
    return { seed, requestCount, url: values.url, admin: values.admin }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nSee npm run fuzz -- --help\n`)
    return 2
  }
}
