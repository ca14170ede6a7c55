/** What `npm run bench` runs: the command line of the comparisons. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { draw } from './harness/report/chart.ts'
import { compare } from './harness/report/compare.ts'
import { type Result, readResult } from './harness/report/result.ts'
import { toMarkdown, toTerminal } from './harness/report/text.ts'
import { runSuite } from './harness/run.ts'
import { findSuite, suiteNames } from './harness/suites.ts'

const docs = join(import.meta.dirname, '../../docs/bench')

const help = `Compare this repository with the raw limit and with other libraries. Starts its
own servers.

  npm run bench                                 every suite
  npm run bench -- ${suiteNames.join('|').padEnd(28)}  this one
  npm run bench -- compare a.json b.json        two results of one run

  --rounds N     rounds that count                       (default 25, quick 3)
  --ms N         how long a contender works in a round   (default 300)
  --quick        a short run of a minute or two; not written to docs/bench
  --table ID     only this table; not written to docs/bench
  --only A,B     only these contenders; not written to docs/bench; a wrong name
                 lists the right ones, here and at --table
  --json FILE    write the result to this file too
  --profile DIR  a CPU profile of each contender's process
  --check        exit with 1 when a goal is missed
  --ratios       with compare: the ratios that each run measured within itself
  --help         this text

A full run takes a minute or two per table and writes docs/bench/<suite>.json,
.md and .svg. The machine need not be idle: rounds are interleaved and ratios
are computed within a round. The result states the load.
`

const options = {
  rounds: { type: 'string' },
  ms: { type: 'string' },
  quick: { type: 'boolean', default: false },
  table: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'string' },
  profile: { type: 'string' },
  check: { type: 'boolean', default: false },
  ratios: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\nSee npm run bench -- --help\n`)
  process.exitCode = 2
}

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const [first, ...files] = positionals
  if (first === 'compare') return runCompare(files, values.ratios)
  if (values.json && positionals.length !== 1) throw new Error('--json needs one suite')
  const suites = await Promise.all((first === undefined ? suiteNames : positionals).map(findSuite))
  const runId = randomBytes(4).toString('hex')
  const isPartial = values.quick || values.table !== undefined || values.only !== undefined
  const results: Result[] = []
  for (const suite of suites) {
    const result = await runSuite(suite, {
      runId,
      roundCount: count('--rounds', values.rounds, values.quick ? 3 : 25),
      durationMs: count('--ms', values.ms, 300),
      isQuick: values.quick,
      table: values.table,
      only: values.only?.split(','),
      nodeArgs: values.profile ? ['--cpu-prof', `--cpu-prof-dir=${resolve(values.profile)}`] : [],
      report: (line) => process.stderr.write(`${line}\n`),
    })
    process.stdout.write(`\n${toTerminal(result)}\n`)
    if (!isPartial) writeDocs(result)
    results.push(result)
  }
  if (values.json) writeFileSync(values.json, toJson(results[0]))
  const isMet = results.every(({ tables }) => tables.every(({ goals }) => goals.every(({ met }) => met)))
  return values.check && !isMet ? 1 : 0
}

function runCompare(files: string[], withRatios: boolean): number {
  const [a, b] = files
  if (a === undefined || b === undefined || files.length > 2) throw new Error('compare needs two files')
  const { isRefused, text } = compare(readResult(a), readResult(b), { withRatios })
  process[isRefused ? 'stderr' : 'stdout'].write(text)
  return isRefused ? 1 : 0
}

function writeDocs(result: Result): void {
  mkdirSync(docs, { recursive: true })
  writeFileSync(join(docs, `${result.suite}.json`), toJson(result))
  writeFileSync(join(docs, `${result.suite}.svg`), draw(result))
  writeFileSync(join(docs, `${result.suite}.md`), toMarkdown(result))
  process.stderr.write(`written: docs/bench/${result.suite}.json, .md, .svg\n`)
}

/** A list of figures on one line. */
function toJson(value: unknown): string {
  const lists = /\[\s+([-+\d.,e\s]+?)\s+\]/g
  const text = JSON.stringify(value, null, 2).replace(lists, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)
  return `${text}\n`
}

function count(name: string, given: string | undefined, fallback: number): number {
  if (given === undefined) return fallback
  if (!/^[1-9]\d{0,5}$/.test(given)) throw new Error(`${name} must be a whole number above 0, not "${given}"`)
  return Number(given)
}
