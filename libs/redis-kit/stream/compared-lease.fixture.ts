/** The negative control of the lease: it wakes the reader only when the answer differs from what was known before it was asked. */
import { createLease, type Lease, type LeaseOptions } from './lease.ts'

export function createComparedLease({ take, ttlMs, alarm }: LeaseOptions): Lease {
  const lease: Lease & { isHeld: boolean } = {
    ...createLease({ take, ttlMs, alarm }),
    renew,
    giveBack,
    refused,
    untilOurs,
  }
  return lease

  async function renew(): Promise<void> {
    const wasHeld = lease.isHeld
    lease.isHeld = (await take(ttlMs)) === 1
    if (lease.isHeld !== wasHeld || !lease.isWanted) alarm.ring()
  }

  async function giveBack(): Promise<void> {
    lease.isHeld = false
    await take(0)
  }

  function refused(): void {
    lease.isHeld = false
  }

  async function untilOurs(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (lease.isHeld && lease.isWanted) return true
      if (lease.isHeld) await giveBack()
      else await alarm.next()
    }
    return false
  }
}
