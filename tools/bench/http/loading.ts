/** What every contender of the HTTP table does: is filled, checked, then loaded at random. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { createIdentityMinter, identityHeader } from '@shop/service-kit/identity'
import { makeProduct, skus } from '../harness/products.ts'
import type { Running } from '../harness/suite.ts'
import type { LoadAnswer, LoadTask } from './load-process.ts'
import type { Servers } from './suite.ts'

const connectionCount = 64
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
  // The same bytes for everybody, though only the catalog asks who it is.
  const headers = () => ({ [identityHeader]: mint({ role: 'guest' }) })

  async function load(durationMs?: number): Promise<LoadAnswer> {
    const task: LoadTask = { port: server.port, paths, headers: headers(), connectionCount, durationMs }
    const answer = once(generator, 'message')
    generator.send(task)
    const [message] = await Promise.race([answer, died])
    return message
  }

  await load() // each product once: from here on all are hot
  await check(server.port, headers())
  return {
    async measure({ durationMs }) {
      const before = await server.cpuUs()
      const { count, tookMs, p50Us, p99Us } = await load(durationMs)
      const cpuUs = (await server.cpuUs()) - before
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
    throw new Error(`what is answered for ${sku} is not the product: ${JSON.stringify(product)}`)
  }
}
