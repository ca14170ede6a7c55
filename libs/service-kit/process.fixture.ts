/** A tiny service that process.test.ts starts as a real process. */
import './compile-cache.ts'

const { Type } = await import('typebox')
const { commonConfig, Flag } = await import('./config.ts')
const { createServer } = await import('./server.ts')
const { runService } = await import('./process.ts')

await runService({
  name: 'fixture',
  schema: Type.Object({ ...commonConfig, FAIL_TO_BUILD: Flag({ default: false, doc: 'Fails while building' }) }),
  async build(config, { log, name, metrics, stopping }) {
    if (config.FAIL_TO_BUILD) throw new Error('the database said postgres://app:hunter2@db/app is wrong')
    const server = createServer({ log, name, metrics, identity: 'none' })
    server.get('/slow', async () => {
      process.send?.('slow request begun')
      await new Promise((resolve) => setTimeout(resolve, 300))
      return { stopping: stopping.aborted }
    })
    server.get('/never', () => {
      process.send?.('endless request begun')
      return new Promise(() => {})
    })
    server.get('/throw-outside', () => {
      setImmediate(() => {
        throw new Error('nobody catches this')
      })
      return {}
    })
    const loops = [
      {
        name: 'ticker',
        async run(signal: AbortSignal) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          process.send?.('loop ended')
        },
      },
    ]
    return { server, loops, close: async () => void process.send?.('closed') }
  },
})
