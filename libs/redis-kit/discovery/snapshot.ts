/**
 * What one process believes about the instances of one service, and when it doubts what it hears. No input or output: the
 * directory feeds it listings and hints.
 *
 * The doubt: a registry that was away or lost its data forgets instances that are alive. Within one TTL after any sign of that
 * (`suspect`), an empty listing, or one that has lost more than half of the instances, adds but does not remove. An instance
 * that is really dead then stays a little longer, which the balancer's ejection covers; the other mistake is a total outage.
 */
import type { Instance, Listing } from './discovery.ts'
import type { Hint } from './hint.ts'

export interface SnapshotOptions {
  ttlMs: number
  /** Called with every new array of instances. */
  onChange: (instances: readonly Instance[]) => void
  /** Monotonic clock, ms. */
  now: () => number
}

export type Snapshot = ReturnType<typeof createSnapshot>

export function createSnapshot({ ttlMs, onChange, now }: SnapshotOptions) {
  let instances: readonly Instance[] = Object.freeze([])
  let rev: number | undefined
  let newestHintRev = 0
  let holding = false
  let doubtUntilMs = Number.NEGATIVE_INFINITY

  return {
    /** The same array until something changes. */
    instances: () => instances,
    /** The change up to which this is the registry's truth; undefined: ask for a whole listing. */
    rev: () => (holding ? undefined : rev),
    /** Are instances kept that the registry does not know? */
    isHolding: () => holding,
    /** When the doubt ends, while instances are kept because of it: the time to ask again. */
    doubtUntilMs: () => doubtUntilMs,
    suspect,
    expectListing,
    applyListing,
    applyHint,
  }

  /** The registry was out of reach, or hints may have been missed, or it has lost its data. */
  function suspect() {
    doubtUntilMs = now() + ttlMs + ttlMs / 3 // everybody that lives has beaten by then
    rev = undefined
  }

  /** Call before asking for a listing: it must not undo hints that overtake it. */
  function expectListing() {
    newestHintRev = 0
  }

  /** 'outdated': hints are ahead of this listing, ask again. */
  function applyListing(listing: Listing): 'applied' | 'outdated' {
    if (listing.rev < newestHintRev) return 'outdated'
    const isLoss = listing.rev === 0 || (rev !== undefined && listing.rev < rev)
    if (isLoss && instances.length > 0) suspect()
    rev = listing.rev
    holding = now() < doubtUntilMs && isSuspiciouslySmall(listing.instances.length)
    replace(listing.instances, { keepOthers: holding })
    return 'applied'
  }

  /** 'gap': changes before this one are missing, ask for a listing. What the hint itself says is applied all the same. */
  function applyHint(hint: Hint): 'applied' | 'old' | 'gap' {
    newestHintRev = Math.max(newestHintRev, hint.rev)
    if (rev !== undefined && hint.rev <= rev) return 'old'
    const isNext = hint.rev === (rev ?? Number.NaN) + 1
    if (!isNext && rev !== undefined && instances.length > 0) suspect()
    rev = isNext ? hint.rev : undefined
    if (hint.what === 'up') replace([hint.instance], { keepOthers: true })
    else if (hint.what === 'left' || now() >= doubtUntilMs) remove(hint.id)
    else holding = true
    return isNext ? 'applied' : 'gap'
  }

  function isSuspiciouslySmall(count: number) {
    return instances.length > 0 && count < instances.length / 2
  }

  function replace(fresh: readonly Instance[], { keepOthers }: { keepOthers: boolean }) {
    const freshById = new Map(fresh.map((instance) => [instance.id, instance]))
    const kept: Instance[] = []
    for (const known of instances) {
      const instance = freshById.get(known.id) ?? (keepOthers ? known : undefined)
      freshById.delete(known.id)
      if (instance) kept.push(isSame(instance, known) ? known : instance)
    }
    become([...kept, ...freshById.values()]) // in the old order: a rotation must not start again with every listing
  }

  function remove(id: string) {
    become(instances.filter((instance) => instance.id !== id))
  }

  function become(next: readonly Instance[]) {
    if (next.length === instances.length && next.every((instance, index) => instance === instances[index])) return
    instances = Object.freeze(next)
    onChange(instances)
  }
}

function isSame(a: Instance, b: Instance) {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
