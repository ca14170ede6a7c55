/**
 * `npm run e2e`: the shopper's journey, against the shop at BASE_URL, or against one that is started for it and stopped again.
 * With a shop of its own the tests also kill parts of it.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runTool } from './command-line/run.ts'
import { walkServer } from './keyspace/walk-server.ts'
import { type OpenShop, startDemo } from './stack/child.ts'

const help = `Run the end-to-end tests.

  npm run e2e                 against a shop of its own, on free ports
  BASE_URL=http://localhost:8080 npm run e2e
                              against a running shop

  SHOP_TEST_POSTGRES_TIMEZONE=Asia/Kolkata npm run e2e
                              on a Postgres in another time zone than UTC

Arguments after \`--\` are passed to vitest:

  npm run e2e -- -t 'cannot buy more'
`
const reporters = ['--reporter=default', '--reporter=json', '--outputFile.json=reports/@shop/e2e.json']

if (process.argv.includes('--help')) process.stdout.write(help)
else process.exitCode = await runE2e(process.argv.slice(2))

/** Resolves to the exit code of vitest. */
export async function runE2e(args: readonly string[]): Promise<number> {
  if (process.env.BASE_URL) return runTests(args, { url: process.env.BASE_URL })
  const demo = startDemo('e2e')
  const interrupt = () => void demo.stop()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  try {
    const shop = await demo.opened
    const testsExitCode = await runTests(args, shop)
    const walkExitCode = await walkKeys(shop)
    await demo.stop()
    const exitCode = testsExitCode || walkExitCode || reportRefusals(demo.logsFolder)
    if (exitCode === 0) demo.removeData()
    else process.stderr.write(`Logs of the services: ${demo.logsFolder}\n`)
    return exitCode
  } finally {
    await demo.stop()
  }
}

/** What the shoppers left in Redis is as the key families declare it. Returns the exit code. */
async function walkKeys({ look }: OpenShop): Promise<number> {
  const { CACHE, STATE } = look ?? {}
  const walks = [CACHE && walkServer(CACHE, 'cache'), STATE && walkServer(STATE, 'state')]
  const reports = await Promise.all(walks.filter((walk) => typeof walk === 'object'))
  for (const { line, problems } of reports) process.stderr.write(`${[line, ...problems].join('\n')}\n`)
  return reports.every(({ problems }) => problems.length === 0) ? 0 : 1
}

/** A right that a service lacks is a failure, though every test may have passed. Returns the exit code. */
function reportRefusals(logsFolder: string): number {
  const refusals = globSync('*.log', { cwd: logsFolder }).flatMap((file) =>
    readFileSync(join(logsFolder, file), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"msg":"NOPERM '))
      .map((line) => `${file}: ${line}\n`),
  )
  process.stderr.write(refusals.join(''))
  return refusals.length === 0 ? 0 : 1
}

function runTests(args: readonly string[], shop: OpenShop): Promise<number> {
  const { url, parts = [], accounts = [], look = {} } = shop
  const vitestArgs = ['run', '--project', 'e2e', '--no-file-parallelism', ...reporters, ...args]
  return runTool('vitest', vitestArgs, {
    SHOP_URL: url,
    SHOP_PARTS: JSON.stringify(parts),
    SHOP_ACCOUNTS: JSON.stringify(accounts),
    SHOP_LOOK: JSON.stringify(look),
  })
}
