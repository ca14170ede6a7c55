/**
 * A payment provider that exists only here. It keeps books of its own, as a real one does, so that charging twice under one
 * key charges once. Three cards: `approve`, `decline`, and `timeout`, which charges and then does not answer in time; whoever
 * asks again hears that it was approved.
 */
import { once } from 'node:events'
import type { PrismaClient } from '../prisma/client/client.ts'
import { type Charge, PaymentOutcomeUnknown, type PaymentProvider } from './provider.ts'

export function createSimulatedProvider(books: PrismaClient): PaymentProvider {
  return { charge, refund }

  async function charge({ key, amountCents, card }: Charge, signal: AbortSignal): Promise<'approved' | 'declined'> {
    const outcome = card === 'decline' ? 'declined' : 'approved'
    const entry = await books.simulatedCharge.upsert({
      where: { key },
      create: { key, amountCents, outcome },
      update: { attempts: { increment: 1 } },
    })
    if (card === 'timeout' && entry.attempts === 1) {
      if (!signal.aborted) await once(signal, 'abort')
      throw new PaymentOutcomeUnknown(`no answer about ${key} in time`)
    }
    return entry.outcome === 'declined' ? 'declined' : 'approved'
  }

  async function refund(key: string): Promise<void> {
    await books.simulatedCharge.updateMany({ where: { key, outcome: 'approved' }, data: { refunded: true } })
  }
}
