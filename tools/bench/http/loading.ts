/** What every contender of the HTTP table does: is filled, checked, then loaded at random. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { createIdentityMinter, identityHeader } from '@shop/service-kit/identity'
import { makeProduct, skus } from '../harness/products.ts'
import type { Running } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import type { LoadAnswer, LoadTask } from './load-process.ts'

const connectionCount = 64
/** A server that was idle collects garbage and forgets code; nobody who is hot does. */
const rampMs = 400
const pathOf = (sku: string) => `/api/products/${sku}`

export interface HttpServer {
  port: number
  /** CPU time that the server's process has used so far. */
  cpuUs(): Promise<number>
  close(): Promise<unknown>
}

/** Throws when the server does not answer with the product that was asked for. */
export async function loading(server: HttpServer, { identity }: Servers): Promise<Running> {
  const mint = createIdentityMinter(identity.privateKey)
  // In a session of its own, so that it takes nothing from a server that shares ours (see contender.ts).
  const generator = fork(join(import.meta.dirname, 'load-process.ts'), { stdio: 'inherit', detached: true })
  const died = once(generator, 'exit').then(() => Promise.reject(new Error('the load could not be made: see above')))
  died.catch(() => {})
  await once(generator, 'message')
  const paths = skus.map(pathOf)
  // What the gateway sends along. The same bytes for everybody, though only the catalog looks at them.
  const headers = () => ({ [identityHeader]: mint({ role: 'guest' }), 'x-request-id': 'bench-0001' })

  async function load(
    timing: Pick<LoadTask, 'durationMs' | 'rampMs'> = {},
    onCounting = () => {},
  ): Promise<LoadAnswer> {
    const task: LoadTask = { port: server.port, paths, headers: headers(), connectionCount, ...timing }
    const answer = once(generator, 'message')
    generator.send(task)
    const [message] = await Promise.race([answer, died])
    if (!('isCounting' in message)) return message
    onCounting()
    return (await Promise.race([once(generator, 'message'), died]))[0]
  }

  await load() // each product once: from here on all are hot
  await check(server.port, headers())
  return {
    async measure({ durationMs }) {
      let before: Promise<number> | undefined
      const { count, tookMs, p50Us, p99Us } = await load({ durationMs, rampMs }, () => {
        before = server.cpuUs()
      })
      const cpuUs = (await server.cpuUs()) - ((await before) ?? 0)
      return { perSecond: (count / tookMs) * 1000, cpuUs: cpuUs / count, p50Us, p99Us }
    },
    async close() {
      generator.disconnect()
      await server.close()
    },
  }
}

async function check(port: number, headers: Record<string, string>): Promise<void> {
  const sku = skus[7] as string
  const response = await fetch(`http://127.0.0.1:${port}${pathOf(sku)}`, { headers })
  const { updatedAt, ...product } = (await response.json()) as Record<string, unknown>
  const { updatedAt: _, ...expected } = makeProduct(sku)
  if (typeof updatedAt !== 'string' || !isDeepStrictEqual(product, { ...expected })) {
    throw new Error(`the answer for ${sku} is not the product: ${JSON.stringify(product)}`)
  }
}
