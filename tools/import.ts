/** `npm run import -- file`: products from a file into a running shop, by its public API. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ImportReport } from '@shop/contracts/product'
import { signInAtTerminal } from './command-line/admin-session.ts'
import { counted } from './command-line/counted.ts'
import { help, type ImportOptions, parseOptions } from './import/options.ts'
import { createProgress, number } from './import/progress.ts'
import { upload } from './import/upload.ts'

process.exitCode = await main(process.argv.slice(2), process.env)

/** Returns the exit code. */
async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: ImportOptions | 'help'
  try {
    options = parseOptions(args, env)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nSee npm run import -- --help\n`)
    return 2
  }
  if (options === 'help') {
    process.stdout.write(help)
    return 0
  }
  try {
    const { report, tookMs } = await importFile(options, env)
    process.stdout.write(describe(report, tookMs))
    return report.refusedCount > 0 ? 1 : 0
  } catch (error) {
    process.stderr.write(`${explain(error as NodeJS.ErrnoException)}\n`)
    return 2
  }
}

async function importFile({ file, url, email, contentType }: ImportOptions, env: NodeJS.ProcessEnv) {
  const source = await open(file)
  const admin = await signInAtTerminal({ url, email, env })
  const progress = createProgress(source.size)
  try {
    const report = await upload(admin, { contentType, ...source, file: source.read(), onPiece: progress.add })
    return { report, tookMs: progress.tookMs() }
  } finally {
    progress.finish()
    await admin.signOut()
  }
}

/** npm runs its scripts in the repository; a path is meant from where the person is. */
async function open(file: string) {
  if (file === '-') return { read: () => process.stdin }
  const path = resolve(process.env.INIT_CWD ?? '.', file)
  const stats = await stat(path)
  if (!stats.isFile()) throw new Error(`${file} is not a file.`)
  return { size: stats.size, read: () => createReadStream(path) }
}

function describe(report: ImportReport, tookMs: number): string {
  const { lineCount, createdCount, updatedCount, unchangedCount, duplicateCount, refusedCount } = report
  const counts = [
    ['added', createdCount],
    ['changed', updatedCount],
    ['unchanged', unchangedCount],
    ['superseded by a later line', duplicateCount],
    ['refused', refusedCount],
  ] as const
  const some = counts.filter(([, count]) => count > 0).map(([name, count]) => `${number(count)} ${name}`)
  const refused = report.refused.map(
    ({ line, sku, code, message }) => `line ${line}${sku ? `, ${sku}` : ''}: ${message} (${code})`,
  )
  const more = report.refusedTruncated ? [`and ${number(refusedCount - report.refused.length)} more`] : []
  const summary = `${counted(lineCount, 'product')} read in ${(tookMs / 1_000).toFixed(1)} s: ${some.join(', ') || 'none'}`
  return `${[summary, ...refused, ...more].join('\n')}\n`
}

function explain({ code, message, path }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return `File not found: ${path}.`
  if (code === 'EACCES') return `No permission to read ${path}.`
  if (code === 'ECONNRESET' || code === 'EPIPE' || /silent|closed/.test(message)) {
    return 'The connection to the shop was lost. Imported products are kept: run the same command again.'
  }
  return message
}
