/** `npm run outage`: kills the cache's Redis under load and says whether readers noticed. The figures of the catalog's README. */
import { availableParallelism, cpus } from 'node:os'
import { parseArguments, wholeNumber } from './command-line/arguments.ts'
import { type OutageFigures, observeOutage, type Readers } from './outage/outage.ts'

const help = `Kill the catalog's cache Redis for a while under steady reads. Report the effect
on readers, Postgres and memory.

  npm run outage -- [options]

  --seconds N   length of the outage     (default 30)
  --rate N      reads per second         (default 2000)
  --json        the figures as JSON
  --help        this text

Exit code: 0 all goals met, 1 a goal missed, 2 no result: the run failed, or
the machine is too slow or too busy.
`

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`)
  return 2
})

async function main(args: string[]): Promise<number> {
  const { values } = parseArguments({
    args,
    options: {
      seconds: { type: 'string', default: '30' },
      rate: { type: 'string', default: '2000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const poolMax = 10
  const figures = await observeOutage({
    ratePerSecond: wholeNumber('--rate', values.rate, 1),
    outageMs: wholeNumber('--seconds', values.seconds, 1, 3_600) * 1_000,
    productCount: 1_000,
    poolMax,
    warmUpMs: 10_000,
    patienceMs: 30_000,
    report: (line) => void process.stderr.write(`${line}\n`),
  })
  if (figures.before.failedCount > 0) {
    process.stderr.write(`This machine cannot serve ${values.rate} reads/s even with Redis: lower --rate.\n`)
    return 2
  }
  const promises = judge(figures, poolMax)
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : describe(figures, promises))
  return promises.every(({ isKept }) => isKept) ? 0 : 1
}

interface Promised {
  what: string
  was: string
  isKept: boolean
}

function judge(figures: OutageFigures, poolMax: number): Promised[] {
  const { during, after, heapMb, sessions, normalAfterMs } = figures
  const failedCount = during.failedCount + after.failedCount
  const boundMs = during.loadP99Ms + 50
  const growthMb = Math.max(heapMb.during, heapMb.after) - heapMb.before
  return [
    {
      what: 'no failed read',
      was: `${failedCount} of ${during.readCount + after.readCount} failed`,
      isKept: failedCount === 0,
    },
    { what: `p99 within loader + 50 ms (${boundMs} ms)`, was: `${during.p99Ms} ms`, isKept: during.p99Ms <= boundMs },
    { what: 'heap growth under 10 MB', was: `${growthMb.toFixed(1)} MB`, isKept: growthMb < 10 },
    { what: 'normal within 5 s', was: `${normalAfterMs ?? 'never'} ms`, isKept: (normalAfterMs ?? 1e9) <= 5_000 },
    {
      what: `at most ${poolMax} connections to Postgres`,
      was: `${sessions.connectedCount}, ${sessions.activeCount} active, in ${sessions.lookCount} samples`,
      isKept: sessions.connectedCount <= poolMax,
    },
  ]
}

function describe(figures: OutageFigures, promises: Promised[]): string {
  const row = (name: string, { readCount, failedCount, p50Ms, p99Ms, maxMs, hitShare, loadP99Ms }: Readers) =>
    [name, readCount, failedCount, p50Ms, p99Ms, maxMs, `${(hitShare * 100).toFixed(1)} %`, loadP99Ms]
      .map((cell) => String(cell).padStart(9))
      .join('')
  const head = ['', 'reads', 'failed', 'p50 ms', 'p99 ms', 'max ms', 'hits', 'load p99'].map((name) => name.padStart(9))
  const { before, during, after, heapMb } = figures
  return [
    head.join(''),
    row('before', before),
    row('during', during),
    row('after', after),
    `heap after collection, MB: ${heapMb.before} before, ${heapMb.during} during, ${heapMb.after} after`,
    ...promises.map(({ what, was, isKept }) => `${isKept ? 'kept  ' : 'BROKEN'}  ${what}: ${was}`),
    `${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), load ${figures.load}`,
    ...[before, during, after].flatMap(({ failures }) => failures),
    '',
  ].join('\n')
}
