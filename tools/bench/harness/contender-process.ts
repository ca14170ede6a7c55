/**
 * One contender in a process of its own: its CPU time is nobody else's, and no library is optimised, or spoilt, by what
 * another one did. Told what to be by its arguments, measured when its parent says so, gone when its parent is.
 */
import type { Plan } from './suite.ts'
import { findSuite } from './suites.ts'

const [suiteName = '', tableId, contenderId, context = '{}'] = process.argv.slice(2)
process.once('disconnect', () => process.exit())

const suite = await findSuite(suiteName)
const table = suite.tables.find(({ id }) => id === tableId)
const contender = table?.contenders.find(({ id }) => id === contenderId)
if (!contender) throw new Error(`unknown contender ${contenderId} in ${suiteName}/${tableId}`)

const running = await contender.start(JSON.parse(context))
process.on('message', async ({ plan }: { plan?: Plan }) => {
  try {
    if (plan) {
      process.send?.({ sample: await running.measure(plan) })
    } else {
      await running.close()
      process.exit()
    }
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
})
process.send?.({ ready: true })
