/**
 * The right to read one partition for one group, as its reader knows it. The fetching script checks the key in Redis; what is
 * known here only saves it from being asked in vain.
 *
 * Answers may contradict each other: a fetch is refused because the key is gone, while the beat that takes it anew is on its way.
 * So each answer counts when it comes, and each beat wakes the reader, changed or not. To compare with a value read before the
 * await would miss a loss that came and went in between, and the reader would sleep for ever on a lease that it holds.
 */
import type { Alarm } from '../flow/alarm.ts'

export interface Lease {
  readonly isHeld: boolean
  /** Should this consumer read the partition? */
  isWanted: boolean
  /** Takes or prolongs it; wakes the reader in any case. */
  renew(): Promise<void>
  giveBack(): Promise<void>
  /** The server has refused a fetch. */
  refused(): void
  /** Waits until it is held and wanted; gives it back when it is not wanted. False when the reader stops. */
  untilOurs(signal: AbortSignal): Promise<boolean>
}

export interface LeaseOptions {
  /** Asks Redis for the lease for so long, or gives it back (0). 1: it is ours now. */
  take: (ttlMs: number) => Promise<1 | 0>
  ttlMs: number
  /** Rung by everything that the reader waits for, and by the abort of its signal. */
  alarm: Alarm
}

export function createLease({ take, ttlMs, alarm }: LeaseOptions): Lease {
  const lease = { isHeld: false, isWanted: false, renew, giveBack, refused, untilOurs }
  return lease

  async function renew(): Promise<void> {
    try {
      lease.isHeld = (await take(ttlMs)) === 1
    } finally {
      alarm.ring()
    }
  }

  /** Not held from now on. A beat that was sent before may be answered meanwhile: its answer is older than this. */
  async function giveBack(): Promise<void> {
    refused()
    await take(0).finally(refused)
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
