/** An import from its first line to its report: lines are checked one by one, written in batches, and what is written stays. */
import { type ImportReport, maxRefusedLines, type ProductInput, type RefusedLine } from '@shop/contracts/product'
import { createSlots } from '@shop/redis-kit/flow/slots'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { errors } from '../errors.ts'
import type { Freshness } from '../products/freshness.ts'
import { checkRow, type ReadRow } from './row.ts'
import type { ImportStore } from './store.ts'

export interface ImportOptions {
  /** Told of each batch after its commit. Must not reject. */
  forget: Freshness['forget']
  /** Products written at once. @default 500 */
  batchCount?: number
  /** A batch of long descriptions is written before it is full. @default 1 MiB of characters */
  batchLength?: number
  log: Pick<Log, 'info' | 'warn'>
  /** Imports that may run in this process at once; more are 429 `imports-busy`. @default 2 */
  maxRunningCount?: number
}

export function createImports(
  store: ImportStore,
  { forget, log, batchCount = 500, batchLength = 1_048_576, maxRunningCount = 2 }: ImportOptions,
) {
  const slots = createSlots(maxRunningCount)
  return { run }

  /**
   * Reads no further than it has written. When the rows fail (the client went away, Postgres did) it throws; what was committed stays,
   * and the same file can be sent again: what is as it should be is not written a second time.
   */
  async function run(rows: AsyncIterable<ReadRow[]>, origin?: Origin): Promise<ImportReport> {
    const leave = slots.take('imports')
    if (!leave) throw errors.importsBusy()
    const report = createReport()
    try {
      await read(rows, report, origin)
      log.info(report.counts, 'import completed')
      return report.finish()
    } catch (error) {
      log.warn({ err: error, ...report.counts }, 'import aborted')
      throw error
    } finally {
      leave()
    }
  }

  async function read(rows: AsyncIterable<ReadRow[]>, report: ReturnType<typeof createReport>, origin?: Origin) {
    const batch = new Map<string, { line: number; product: ProductInput }>()
    let length = 0
    for await (const row of each(rows)) {
      report.counts.lineCount += 1
      const checked = checkRow(row)
      if ('code' in checked) {
        report.refuse(checked)
        continue
      }
      const { sku, name, description } = checked.product
      // Of lines with the same sku the last one counts, in a batch as from batch to batch.
      if (batch.has(sku)) report.counts.duplicateCount += 1
      batch.set(sku, checked)
      length += name.length + description.length
      if (batch.size >= batchCount || length >= batchLength) await flush()
    }
    await flush()

    async function flush() {
      if (batch.size === 0) return
      const products = [...batch.values()].map(({ product }) => product)
      const { createdCount, updatedCount, refusedSkus, change } = await store.write(products, origin)
      if (change) await forget(change)
      const { counts } = report
      counts.createdCount += createdCount
      counts.updatedCount += updatedCount
      counts.unchangedCount += products.length - createdCount - updatedCount - refusedSkus.length
      for (const sku of refusedSkus) {
        const line = batch.get(sku)?.line ?? 0
        report.refuse({ line, sku, code: 'category-unknown', message: 'the category does not exist' })
      }
      batch.clear()
      length = 0
    }
  }
}

export type Imports = ReturnType<typeof createImports>

async function* each(rows: AsyncIterable<ReadRow[]>) {
  for await (const some of rows) yield* some
}

/** However many lines are refused, so many are kept. */
function createReport() {
  const counts = {
    lineCount: 0,
    createdCount: 0,
    updatedCount: 0,
    unchangedCount: 0,
    duplicateCount: 0,
    refusedCount: 0,
  }
  const refused: RefusedLine[] = []
  return {
    counts,
    refuse(line: RefusedLine) {
      counts.refusedCount += 1
      if (refused.length < maxRefusedLines) refused.push(line)
    },
    /** A category is found to be unknown when its batch is written: later than what is wrong with the lines after it. */
    finish: (): ImportReport => ({
      ...counts,
      refused: refused.toSorted((a, b) => a.line - b.line),
      refusedTruncated: counts.refusedCount > refused.length,
    }),
  }
}
