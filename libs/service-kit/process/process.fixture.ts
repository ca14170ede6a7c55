/** A tiny service that process.test.ts starts as a real process. It tells its parent what it is doing. */
import { once } from 'node:events'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { Type } from 'typebox'
import { createServer } from '../http/server.ts'
import { commonConfig, Flag, Secret, Text, Url } from './config.ts'
import { runService } from './process.ts'

const tell = (event: string) => process.connected && process.send?.({ type: event }, undefined, {}, () => {})

/** Fails once, so that there is something to restart. */
let ticks = 0
async function tick(signal: AbortSignal) {
  ticks += 1
  if (ticks === 1) throw new Error('the first run of a loop fails')
  tell('loop restarted')
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  tell('loop ended')
}

let reloadCount = 0
async function reload(isHeld: boolean) {
  reloadCount += 1
  tell(`reload ${reloadCount}`)
  if (isHeld && reloadCount === 1) await once(process, 'message')
  if (reloadCount === 1) throw new Error('the first reload fails')
}

function connectRegistry(url: string, namespace: string) {
  const redis = connectRedis(url, { name: 'fixture' })
  return { registry: createRegistry(redis, { keys: discoveryKeys(namespace) }), close: () => closeRedis(redis) }
}

await runService({
  name: 'fixture',
  schema: Type.Object({
    ...commonConfig,
    API_SECRET: Secret({ doc: 'Nobody may see it' }),
    FAIL_TO_BUILD: Flag({ default: false, doc: 'Fails while building' }),
    REGISTRY_URL: Type.Optional(Url({ schemes: ['redis'], doc: 'Where it registers' })),
    REGISTRY_NAMESPACE: Text({ default: 'registry', doc: 'Prefix of the keys of the registry' }),
    BREAK_SCHEMA: Flag({ default: false, doc: 'Has a route whose schema cannot be compiled' }),
    RELOADS: Flag({ default: false, doc: 'Can reload; the first time fails' }),
    HOLD_RELOAD: Flag({ default: false, doc: 'The first reload lasts until the parent sends a message' }),
    HOLD_BUILD: Flag({ default: false, doc: 'Building lasts until the parent sends a message' }),
    FAIL_TO_CLOSE: Flag({ default: false, doc: 'Fails while closing' }),
  }),
  async build(config, { log, name, metrics, stopping }) {
    if (config.FAIL_TO_BUILD) throw new Error('no database at postgres://app:hunter2@db/app\nand a second line')
    tell('building')
    if (config.HOLD_BUILD) await once(process, 'message')
    const server = createServer({ log, name, metrics, identity: 'none' })
    const properties = { a: { type: config.BREAK_SCHEMA ? 'nonsense' : 'string' } }
    const querystring = { type: 'object', properties, additionalProperties: false }
    server.get('/with-schema', { schema: { querystring } }, () => 'fine')
    server.get('/slow', async () => {
      tell('slow request begun')
      await new Promise((resolve) => stopping.addEventListener('abort', resolve))
      await new Promise((resolve) => setTimeout(resolve, 100))
      return 'slow but complete'
    })
    server.get('/never', () => {
      tell('endless request begun')
      return new Promise(() => {})
    })
    server.get('/throw', () => {
      setImmediate(() => {
        throw new Error('nobody catches this')
      })
      return 'thrown later'
    })
    server.get('/reject', () => {
      void Promise.reject(new Error('nobody handles this'))
      return 'rejected later'
    })
    const registry = config.REGISTRY_URL ? connectRegistry(config.REGISTRY_URL, config.REGISTRY_NAMESPACE) : undefined
    return {
      server,
      ...(registry && { registry: registry.registry }),
      loops: [{ name: 'ticker', run: tick }],
      ...(config.RELOADS && { reload: () => reload(config.HOLD_RELOAD) }),
      async close() {
        tell('connections closed')
        await registry?.close()
        if (config.FAIL_TO_CLOSE) throw new Error('would not close')
      },
    }
  },
})
