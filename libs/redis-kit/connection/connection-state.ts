/**
 * What becomes of a connection, as few words as possible: one when it is first made, one when it is lost, one when it is back, and
 * one for each new kind of reason in between. A connection that never worked says so, because that is a mistake and not an outage.
 */
import type { Cluster, Redis as Node } from 'ioredis'
import { type Diagnosis, diagnose, saysNothing } from './server/diagnosis.ts'

export interface ConnectionChange extends Partial<Diagnosis> {
  /**
   * `failing`: it has never worked so far. `lost`: it worked, and does not any more. Both say why, and again when the reason changes.
   * `connected`: for the first time. `restored`: again, and it has held for a second.
   */
  state: 'failing' | 'connected' | 'lost' | 'restored'
  /** What the connection was called when it was made. */
  name: string
  /** On a Cluster, the node (host:port); undefined for the Cluster as a whole. */
  node?: string
  /** Since the start, or since the loss. */
  afterMs: number
}

export type OnStateChange = (change: ConnectionChange) => void

export interface WatchOptions {
  name: string
  /** Of several with that name, which one: a shard's address. */
  node?: string
  isTls: boolean
  onStateChange: OnStateChange
}

/** What ioredis says when nothing came: of a connection, and of a Cluster's first question. */
const SILENCES = new Set(['connect ETIMEDOUT', 'timeout'])
/** A server that takes connections and drops them is not well, however often it does. */
const STABLE_MS = 1000
const CLOSED = 'the server closed the connection'
/** These alternate while a server is away, and mean the same to people. */
const AWAY = new Set(['UNREACHABLE', 'CLOSED', 'UNKNOWN_HOST'])
/** Of a Cluster, whose nodes may get new addresses again and again. More are kept only while that many are its nodes. */
const MAX_ADDRESSES = 100

export interface Watch {
  /** The owner closes the connection: from now on nothing is news. */
  stop(): void
}

/** For a single server, a subscriber's connection, or a Cluster with its nodes. */
export function watchConnection(redis: Node | Cluster, options: WatchOptions): Watch {
  const story = createStory(options)
  follow(redis, story, options)
  if (!redis.isCluster) return story

  // A node that was given up comes back as another object.
  const nodes = new Map<string, Story>()
  redis.on('+node', (node: Node) => {
    const address = addressOf(node)
    const ofNode = nodes.get(address) ?? createStory({ ...options, node: address })
    nodes.delete(address)
    nodes.set(address, ofNode) // the newest is the last
    if (nodes.size > MAX_ADDRESSES) forgetOldest()
    follow(node, ofNode, { isTls: options.isTls, isKept: () => (redis as Cluster).nodes().includes(node) })
  })
  function forgetOldest(): void {
    const kept = new Set((redis as Cluster).nodes().map(addressOf))
    const address = nodes.keys().find((each) => !kept.has(each))
    if (address === undefined) return
    nodes.get(address)?.stop()
    nodes.delete(address)
  }
  return {
    stop: () => {
      for (const each of [story, ...nodes.values()]) each.stop()
    },
  }
}

const addressOf = ({ options }: Node) => `${options.host}:${options.port}`

type Story = ReturnType<typeof createStory>

function createStory({ name, node, onStateChange }: WatchOptions) {
  const told = new Set<string>()
  let sinceMs = performance.now()
  let state: 'new' | 'up' | 'lost' = 'new'
  let isStopped = false
  let stable: NodeJS.Timeout | undefined

  function tell(next: ConnectionChange['state'], diagnosis?: Diagnosis): void {
    const afterMs = Math.round(performance.now() - sinceMs)
    if (!isStopped) onStateChange({ state: next, name, ...(node && { node }), ...diagnosis, afterMs })
  }
  function down(diagnosis: Diagnosis): void {
    clearTimeout(stable)
    if (state === 'up') {
      state = 'lost'
      told.clear()
      sinceMs = performance.now()
    }
    const kind = AWAY.has(diagnosis.code) ? 'away' : diagnosis.code
    if (told.has(kind)) return
    told.add(kind)
    tell(state === 'new' ? 'failing' : 'lost', diagnosis)
  }
  function up(): void {
    if (state === 'new') settle('connected')
    else if (state === 'lost') stable = setTimeout(settle, STABLE_MS, 'restored').unref()
  }
  function settle(next: 'connected' | 'restored'): void {
    tell(next)
    state = 'up'
    told.clear()
  }
  function stop(): void {
    isStopped = true
    clearTimeout(stable)
  }
  return { down, up, stop, hasWorked: () => state !== 'new' }
}

interface FollowOptions {
  isTls: boolean
  /** Of a Cluster: false once the node has left, which closes its connection. @default always */
  isKept?: () => boolean
}

/** Turns what ioredis says of a connection into the story. An error comes before the `close` that it leads to. */
function follow(redis: Node | Cluster, story: Story, { isTls, isKept = () => true }: FollowOptions): void {
  let error: Error | undefined
  let hint: Error | undefined
  let isReady = redis.status === 'ready'
  let isDialled = false
  let hasTalked = false

  redis.on('connecting', () => {
    isDialled = true
  })
  redis.on('connect', () => {
    hasTalked = true
  })
  redis.on('ready', () => {
    isReady = true
    error = undefined
    story.up()
  })
  // Of the Sentinels' own connections. ioredis follows it by an `error` that knows less.
  redis.on('sentinelError', (reason: Error) => {
    if (!hint || diagnose(reason).code !== 'CLOSED') hint = reason
  })
  // A reply that costs the connection (exit.ts).
  redis.on('demoted', (reason: Error) => {
    error = reason
  })
  redis.on('error', (reason: Error) => {
    if (hint) reason.cause ??= hint
    hint = undefined
    if (saysNothing(reason)) return
    error = reason
    if (!isReady) story.down(explained(reason))
  })
  redis.on('close', () => {
    const isNews = isDialled && (isReady ? error || isKept() : !error)
    if (isNews) story.down(explained(error ?? new Error(CLOSED)))
    isReady = false
    hasTalked = false
    error = undefined
  })

  /** Two mistakes that no server can put into words. */
  function explained(reason: Error): Diagnosis {
    const diagnosis = diagnose(reason)
    if (story.hasWorked()) return diagnosis
    if (!isTls && hasTalked && diagnosis.code === 'CLOSED') return { ...diagnosis, code: 'TLS_EXPECTED' }
    if (isTls && !hasTalked && SILENCES.has(diagnosis.reason)) {
      return { code: 'NO_TLS', reason: 'no TLS handshake in time' }
    }
    return diagnosis
  }
}
