/**
 * How a process is found: it registers once it listens, and leaves before it closes. A process whose registry cannot be reached still
 * starts and serves: the registration goes on trying by itself. One that was fenced (its heartbeats failed for a whole lifetime, so that
 * others may have given up on it) reports itself unready until they work again.
 */
import type { createRegistry, Instance } from '@shop/redis-kit/discovery'
import type { Health } from './health.ts'
import type { Log } from './log.ts'

export type Registry = ReturnType<typeof createRegistry>

/** Longest that start-up or stopping waits for the registry. */
const patienceMs = 1_000

export async function register(
  app: { registry?: Registry; server: { health: Health }; isHealthy?(): boolean },
  instance: Instance,
  log: Log,
): Promise<{ leave(): Promise<void> }> {
  if (app.registry === undefined) return { leave: () => Promise.resolve() }
  // The app that made a registry has this module loaded already; one without does not pay for it.
  const { createRegistration } = await import('@shop/redis-kit/discovery')
  const registration = createRegistration(app.registry, instance, {
    healthy: () => app.isHealthy?.() ?? true,
    onSelfFence: () => log.error('no heartbeat reached the registry for its whole lifetime: unready'),
  })
  app.server.health.add({ name: 'registry', required: true, check: () => notFenced(registration.isFenced()) })
  const started = registration.start()
  await within(started, patienceMs, (error) => log.warn({ err: error }, 'not registered yet'))
  return {
    leave: () => within(registration.leave(), patienceMs, (error) => log.warn({ err: error }, 'not deregistered')),
  }
}

async function notFenced(fenced: boolean): Promise<void> {
  if (fenced) throw Object.assign(new Error('fenced'), { code: 'FENCED' })
}

/** Waits, but not for ever, and never fails: what went wrong is told to `onTrouble`. */
async function within(work: Promise<unknown>, ms: number, onTrouble: (error: unknown) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from the registry in ${ms} ms`)), ms)
  })
  try {
    await Promise.race([work, patience])
  } catch (error) {
    onTrouble(error)
  } finally {
    clearTimeout(timer)
  }
}
