/**
 * A lane is a connection with the commands that wait for it. A single server has one; a Cluster has one for the client as a
 * whole and one for each node, so that commands for the two nodes that work do not wait for the one that does not.
 */
import type { Cluster, Command, Redis as Node } from 'ioredis'
import type { ClusterRoute, Pending } from './pending.ts'
import { isHandshake } from './server/handshake.ts'

export interface Lane {
  /** Undefined while it is up and before its first attempt has failed. */
  downSinceMs: number | undefined
  park(record: Pending): void
}

type NodeLane = ReturnType<typeof createLane> & { node: Node }

export interface LanesOptions {
  /** Called for each node before its first command: the single server, or every node a Cluster client learns of. */
  onNode: (node: Node) => void
  /** Takes back what has waited. */
  resubmit: (record: Pending) => void
}

export interface Lanes {
  /** The lane that this command has to wait for; undefined when it can go out now. */
  blocking(record: Pending): Lane | undefined
  /** The lane to wait in after a failure: the next event there is a reason to try again. */
  laneOf(record: Pending): Lane
  /** Is ioredis itself setting up a connection with this command? It passes ahead of everybody. */
  isHandshake(command: Command): boolean
  resubmitAll(): void
  /** Does ioredis follow MOVED and ASK? A single server's client does not. */
  redirects: boolean
}

export function createLanes(redis: Node | Cluster, options: LanesOptions): Lanes {
  return redis.isCluster ? clusterLanes(redis as Cluster, options) : serverLane(redis as Node, options)
}

function serverLane(node: Node, { onNode, resubmit }: LanesOptions): Lanes {
  const lane = createLane(node, resubmit, () => isWritable(node))
  onNode(node)
  return {
    blocking: () => lane.unlessUp(),
    laneOf: () => lane,
    isHandshake: (command) => isHandshake(node, command),
    resubmitAll: lane.resubmitAll,
    redirects: false,
  }
}

function clusterLanes(cluster: Cluster, { onNode, resubmit }: LanesOptions): Lanes {
  const whole = createLane(cluster, resubmit, () => cluster.status === 'ready')
  const lanes = new Map<string, NodeLane>()

  cluster.on('+node', (node: Node) => {
    onNode(node)
    // `wait`: not dialled yet; the first command does that.
    const isUp = () => node.status === 'wait' || isWritable(node)
    const lane = Object.assign(createLane(node, resubmit, isUp), { node })
    lanes.set(keyOf(node), lane)
    node.on('ready', whole.resubmitAll) // any node may be the one that somebody waits for
    // Where the slots of a lost node are now is the Cluster's question: a replica may have taken over.
    node.on('close', () => cluster.status === 'ready' && cluster.refreshSlotsCache())
    node.on('end', () => {
      if (lanes.get(keyOf(node)) === lane) lanes.delete(keyOf(node)) // or it has been replaced already
      lane.resubmitAll()
    })
  })
  cluster.on('refresh', resubmitAll)

  function resubmitAll(): void {
    whole.resubmitAll()
    for (const lane of lanes.values()) lane.resubmitAll()
  }
  /** Undefined for a command without a key, and for a node that was given up: whichever node takes it will redirect it. */
  function nodeLane({ command, route }: Pending): NodeLane | undefined {
    if (route?.redis) return lanes.get(keyOf(route.redis))
    const slot = route?.slot ?? command.getSlot()
    const key = typeof slot === 'number' ? cluster.slots[slot]?.[0] : undefined
    return key === undefined ? undefined : lanes.get(key)
  }
  function blocking(record: Pending): Lane | undefined {
    const down = whole.unlessUp()
    if (down) return down
    const lane = nodeLane(record)
    if (lane) return lane.unlessUp()
    return record.route && !sendsToOneNode(record.route, lanes.values()) ? whole : undefined
  }
  return {
    blocking,
    laneOf: (record) => nodeLane(record) ?? whole,
    isHandshake: ({ name, args }) => cluster.status === 'connect' && name === 'cluster' && args[0] === 'INFO',
    resubmitAll,
    redirects: true,
  }
}

/**
 * ioredis picks a node at random for each command of a pipeline whose own node it does not know, until one takes it. The
 * others then wait there for the answers of a pipeline that was never written, and are given those of other callers. So the
 * gate picks, once for the whole pipeline; it is redirected as a whole. False when no node is connected.
 */
function sendsToOneNode(route: ClusterRoute, lanes: Iterable<NodeLane>): boolean {
  for (const { node } of lanes) {
    if (!isWritable(node)) continue
    route.redis = node
    return true
  }
  return false
}

function createLane(connection: Node | Cluster, resubmit: (record: Pending) => void, isUp: () => boolean) {
  let parked: Pending[] = []
  /** It was down when somebody began to wait: once it is up, these go first. */
  let hasQueue = false
  const lane = { downSinceMs: undefined as number | undefined, park, unlessUp, resubmitAll }

  // `close` comes with every attempt that fails and `error` with some that never get as far as a socket (no Sentinel answers):
  // the first of them starts the clock.
  const down = () => {
    if (connection.status !== 'ready') lane.downSinceMs ??= performance.now()
  }
  connection.on('error', down)
  connection.on('close', down)
  connection.on('ready', () => {
    lane.downSinceMs = undefined
    resubmitAll()
  })
  return lane

  function park(record: Pending): void {
    // Whoever waited in vain is in nobody's way any more. At most once per deadline, as the rest is younger.
    if (parked[0]?.isSettled) parked = parked.filter(({ isSettled }) => !isSettled)
    parked.push(record)
    hasQueue ||= !isUp()
  }
  function unlessUp(): Lane | undefined {
    if (!isUp()) return lane
    // ioredis announces `ready` one tick after it is: a command that comes in between must not overtake those who wait.
    if (hasQueue) resubmitAll()
    return undefined
  }
  /** Each once: what fails to be sent parks again, in a new list, and waits for the next event. */
  function resubmitAll(): void {
    const waiting = parked
    parked = []
    hasQueue = false
    for (const record of waiting) if (!record.isSettled) resubmit(record)
  }
}

/** `ready` alone does not mean that: a connection that the server has half closed stays `ready` until it is closed. */
function isWritable(node: Node): boolean {
  return node.status === 'ready' && node.stream?.writable === true
}

const keyOf = ({ options }: Node) => `${options.host}:${options.port}`
