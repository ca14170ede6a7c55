/** `npm test`: everything that must hold, cheapest first, and one line of figures at the end. */
import { globSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, runTool } from './command-line/run.ts'

const help = `Check everything: types, lint and size budgets, unused code, tests of every
project on real servers, end to end.

  npm test                 all of it
  npm test -- --no-e2e     without the end-to-end tests

A check whose files did not change since it passed is answered from Nx's cache;
\`npx nx reset\` clears it.
`
const reports = join(root, 'reports')

interface Step {
  name: string
  run: () => Promise<number>
}

const steps: Step[] = [
  { name: 'Prisma clients', run: () => runTool('node', ['tools/generate.ts', '--clients']) },
  { name: 'types', run: () => runTool('nx', ['typecheck']) },
  { name: 'lint and size budgets', run: () => runTool('nx', ['lint']) },
  { name: 'unused code', run: () => runTool('knip', []) },
  { name: 'tests of every project', run: () => runTool('nx', ['run-many', '-t', 'test', '--parallel=1']) },
  { name: 'end to end', run: () => runTool('node', ['tools/e2e.ts']) },
]

if (process.argv.includes('--help')) process.stdout.write(help)
else process.exitCode = await main(process.argv.includes('--no-e2e') ? steps.slice(0, -1) : steps)

async function main(chosen: readonly Step[]): Promise<number> {
  rmSync(reports, { recursive: true, force: true })
  const failed: string[] = []
  for (const { name, run } of chosen) {
    process.stdout.write(`\n== ${name}\n`)
    if ((await run()) !== 0) failed.push(name)
  }
  const counts = countTests()
  for (const name of failed) process.stdout.write(`\nfailed: ${name}`)
  // A step that failed without a failing test (a type error, a crash) must not look like success.
  const failedCount = Math.max(counts.failed, failed.length)
  process.stdout.write(`\n${counts.passed} passed, ${failedCount} failed, ${counts.skipped} skipped\n`)
  return failed.length === 0 && counts.passed > 0 ? 0 : 1
}

/** From the reports that vitest wrote, or that Nx brought back from its cache. */
function countTests() {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of globSync('**/*.json', { cwd: reports })) {
    const report = JSON.parse(readFileSync(join(reports, file), 'utf8'))
    counts.passed += report.numPassedTests
    counts.failed += report.numFailedTests
    counts.skipped += report.numPendingTests
  }
  return counts
}
