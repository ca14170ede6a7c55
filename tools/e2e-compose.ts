/**
 * `npm run e2e:compose`: what the shopper sees, what an attacker sees, and what happens when containers die, on the images and the
 * docker-compose.yml that are shipped. The shop gets a project name, a port and volumes of its own; all are removed afterwards.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root, runTool } from './command-line/run.ts'
import { walkContainer } from './keyspace/walk-container.ts'

const help = `Run the end-to-end tests against the containers of docker-compose.yml. Needs
Docker 26 and Compose 2.26, or newer.

  npm run e2e:compose

Arguments after \`--\` are passed to vitest:

  npm run e2e:compose -- -t 'publishes a port'
`
const report = join(root, 'reports/@shop/e2e-compose.json')

/** In this order: the Redis servers' log of refusals is read when the shoppers have left, and before a server is killed. */
const stages = [
  'compose/override.test.ts',
  'journey.test.ts',
  'bad-input.test.ts',
  'compose/security.test.ts',
  'compose/failures.test.ts',
]

interface Report {
  numTotalTests: number
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  success: boolean
  testResults: unknown[]
}

if (process.argv.includes('--help')) process.stdout.write(help)
else process.exitCode = await runE2eCompose(process.argv.slice(2))

/** Resolves to 0 when all tests passed. */
async function runE2eCompose(args: readonly string[]): Promise<number> {
  const shop = spawn(process.execPath, [join(root, 'apps/e2e/compose/environment.ts')], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const interrupt = () => shop.kill('SIGTERM')
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  process.stdout.write('Building changed images and starting the containers …\n')
  try {
    const { url, project } = await opened(shop)
    process.stdout.write(`The shop is at ${url}, project ${project}\n`)
    const reports: Report[] = []
    for (const stage of stages)
      reports.push(await runStage(stage, args, { SHOP_URL: url, SHOP_COMPOSE_PROJECT: project }))
    const walkExitCode = await walkKeys(project)
    return summary(reports) || walkExitCode
  } finally {
    await stopped(shop)
  }
}

/** What the shoppers left in Redis is as the key families declare it. Returns the exit code. */
async function walkKeys(project: string): Promise<number> {
  const reports = await Promise.all((['cache', 'state'] as const).map((role) => walkContainer(project, role)))
  for (const { line, problems } of reports) process.stdout.write(`${[line, ...problems].join('\n')}\n`)
  return reports.every(({ problems }) => problems.length === 0) ? 0 : 1
}

async function runStage(stage: string, args: readonly string[], env: Record<string, string>): Promise<Report> {
  const file = report.replace('.json', `-${stage.replaceAll(/\W/g, '-')}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const exitCode = await runTool('vitest', ['run', '--project', 'e2e', ...reporters, `apps/e2e/${stage}`, ...args], env)
  const result: Report = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file)
  return { ...result, success: exitCode === 0 }
}

/** One report of all stages, and one line of figures. */
function summary(reports: readonly Report[]): number {
  const sum = (field: 'numTotalTests' | 'numPassedTests' | 'numFailedTests' | 'numPendingTests') =>
    reports.reduce((total, one) => total + one[field], 0)
  const total: Report = {
    numTotalTests: sum('numTotalTests'),
    numPassedTests: sum('numPassedTests'),
    numFailedTests: sum('numFailedTests'),
    numPendingTests: sum('numPendingTests'),
    success: reports.every(({ success }) => success),
    testResults: reports.flatMap(({ testResults }) => testResults),
  }
  writeFileSync(report, JSON.stringify(total))
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped, success } = total
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  return success && passed > 0 ? 0 : 1
}

async function opened(shop: ChildProcess): Promise<{ url: string; project: string }> {
  const lines = createInterface({ input: shop.stdout as NodeJS.ReadableStream })
  const died = once(shop, 'exit').then(() => Promise.reject(new Error('the containers did not start; see above')))
  const [line] = await Promise.race([once(lines, 'line'), died])
  died.catch(() => {})
  return JSON.parse(line)
}

async function stopped(shop: ChildProcess): Promise<void> {
  if (shop.exitCode !== null || shop.signalCode !== null) return
  const gone = once(shop, 'exit')
  shop.kill('SIGTERM')
  await gone
}
