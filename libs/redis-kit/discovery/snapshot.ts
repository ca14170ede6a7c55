/**
 * What one process knows about the instances of one service. No input or output: the directory feeds it listings, hints and the
 * answers of instances.
 *
 * An instance leaves by its own goodbye, or because it does not answer. Its absence from a listing is a reason to ask it, and not
 * to remove it: a registry that was emptied, or that refuses heartbeats (memory full, read-only, too few replicas, missing
 * rights), stops listing instances that are alive.
 */
import type { Hint } from './hint.ts'
import type { Instance } from './instance.ts'
import type { Listing } from './registry.ts'
import { createUnlisted, type Finding, type UnlistedOptions } from './unlisted.ts'

export interface SnapshotOptions extends UnlistedOptions {
  /** Called with every new array of instances. */
  onChange: (instances: readonly Instance[]) => void
}

export type Snapshot = ReturnType<typeof createSnapshot>

export function createSnapshot({ onChange, ...options }: SnapshotOptions) {
  const unlisted = createUnlisted(options)
  let instances: readonly Instance[] = Object.freeze([])
  let rev: number | undefined
  let newestHintRev = 0

  return {
    /** The same array until something changes. */
    instances: () => instances,
    /** The change up to which this is the registry's truth; undefined: ask for a whole listing. */
    rev: () => rev,
    hasUnlisted: () => unlisted.count() > 0,
    /** Are instances shown that the registry does not list? */
    keepsUnlisted: unlisted.hasShown,
    /** The instances to ask now whether they are there. */
    dueQuestions: unlisted.due,
    heard,
    markUncertain,
    expectListing,
    applyListing,
    applyHint,
  }

  /** Changes may have been missed: the next listing has to be a whole one. */
  function markUncertain() {
    rev = undefined
  }

  /** Call before asking for a listing: it must not undo hints that overtake it. */
  function expectListing() {
    newestHintRev = 0
  }

  /** 'outdated': hints are ahead of this listing, ask again. */
  function applyListing(listing: Listing): 'applied' | 'outdated' {
    if (listing.rev < newestHintRev) return 'outdated'
    rev = listing.rev
    const listed = new Set(listing.instances.map(({ id }) => id))
    for (const known of instances) if (!listed.has(known.id)) unlisted.add(known, { isHidden: false })
    for (const found of listing.overdue) unlisted.add(found, { isHidden: true }) // unless it is known
    list(listing.instances)
    return 'applied'
  }

  /** 'gap': changes before this one are missing, ask for a listing. What the hint itself says is applied all the same. */
  function applyHint(hint: Hint): 'applied' | 'old' | 'gap' {
    newestHintRev = Math.max(newestHintRev, hint.rev)
    if (rev !== undefined && hint.rev <= rev) return 'old'
    const isNext = hint.rev === (rev ?? Number.NaN) + 1
    rev = isNext ? hint.rev : undefined
    if (hint.what === 'up') list([hint.instance])
    else if (hint.what === 'left') remove(hint.id)
    else unlist(hint.id)
    return isNext ? 'applied' : 'gap'
  }

  /** What came of a question. */
  function heard(asked: Instance, finding: Finding) {
    const change = unlisted.heard(asked, finding)
    if (change === 'show') become([...instances, asked])
    if (change === 'hide') become(instances.filter(({ id }) => id !== asked.id))
  }

  function unlist(id: string) {
    const known = instances.find((instance) => instance.id === id)
    if (known) unlisted.add(known, { isHidden: false })
  }

  /** Adds or renews. A known instance keeps its place: a rotation must not start again with every listing. */
  function list(fresh: readonly Instance[]) {
    for (const { id } of fresh) unlisted.remove(id)
    const replaced = replacedBy(fresh, unlisted.all())
    for (const id of replaced) unlisted.remove(id)
    become(merge(instances, fresh).filter(({ id }) => !replaced.has(id)))
  }

  function remove(id: string) {
    unlisted.remove(id)
    become(instances.filter((instance) => instance.id !== id))
  }

  function become(next: readonly Instance[]) {
    if (next.length === instances.length && next.every((instance, index) => instance === instances[index])) return
    instances = Object.freeze(next)
    onChange(instances)
  }
}

function merge(known: readonly Instance[], fresh: readonly Instance[]): Instance[] {
  const freshById = new Map(fresh.map((instance) => [instance.id, instance]))
  const kept = known.map((before) => {
    const instance = freshById.get(before.id) ?? before
    freshById.delete(before.id)
    return isSame(instance, before) ? before : instance
  })
  return [...kept, ...freshById.values()]
}

/** Ids of those that cannot be there any more: another instance listens at their address. */
function replacedBy(fresh: readonly Instance[], unlisted: Iterable<Instance>): Set<string> {
  const addresses = new Set(fresh.map(addressOf))
  return new Set([...unlisted].filter((instance) => addresses.has(addressOf(instance))).map(({ id }) => id))
}

function isSame(a: Instance, b: Instance) {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function addressOf({ host, port }: Instance) {
  return `${host} ${port}`
}
