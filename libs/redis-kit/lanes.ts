/**
 * A lane is a connection with the commands that wait for it. A single server has one; a Cluster has one for the client as a
 * whole and one for each node, so that commands for the two nodes that work do not wait for the one that does not.
 */
import type { Cluster, Command, Redis as Node } from 'ioredis'
import type { Pending } from './pending.ts'

export interface Lane {
  /** Undefined while it is up and before its first attempt has failed. */
  downSinceMs: number | undefined
  park(record: Pending): void
}

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
}

const HANDSHAKE = new Set(['hello', 'auth', 'client', 'info', 'readonly'])

export function createLanes(redis: Node | Cluster, options: LanesOptions): Lanes {
  return redis.isCluster ? clusterLanes(redis as Cluster, options) : serverLane(redis as Node, options)
}

function serverLane(node: Node, { onNode, resubmit }: LanesOptions): Lanes {
  const lane = createLane(node, resubmit, () => isWritable(node))
  onNode(node)
  return {
    blocking: () => lane.unlessUp(),
    laneOf: () => lane,
    isHandshake: ({ name }) => node.status === 'connect' && HANDSHAKE.has(name),
    resubmitAll: lane.resubmitAll,
  }
}

function clusterLanes(cluster: Cluster, { onNode, resubmit }: LanesOptions): Lanes {
  const whole = createLane(cluster, resubmit, () => cluster.status === 'ready')
  const nodes = new Map<string, { node: Node; lane: ReturnType<typeof createLane> }>()

  cluster.on('+node', (node: Node) => {
    onNode(node)
    // `wait`: not dialled yet; the first command does that.
    const lane = createLane(node, resubmit, () => node.status === 'wait' || isWritable(node))
    nodes.set(keyOf(node), { node, lane })
    // Where its slots are now is Cluster's question: a replica may have taken over.
    node.on('ready', whole.resubmitAll)
    node.on('close', () => cluster.status === 'ready' && cluster.refreshSlotsCache())
    node.on('end', () => {
      if (nodes.get(keyOf(node))?.node === node) nodes.delete(keyOf(node))
      lane.resubmitAll()
    })
  })
  cluster.on('refresh', resubmitAll)

  function resubmitAll(): void {
    whole.resubmitAll()
    for (const { lane } of nodes.values()) lane.resubmitAll()
  }
  function nodeLane({ command, route }: Pending) {
    if (route?.redis) return nodes.get(keyOf(route.redis))?.lane
    const slot = route?.slot ?? command.getSlot()
    const key = typeof slot === 'number' ? cluster.slots[slot]?.[0] : undefined
    // No key, or a node we do not know: any node will take it, and redirect if need be.
    return key === undefined ? undefined : nodes.get(key)?.lane
  }
  return {
    blocking: (record) => whole.unlessUp() ?? nodeLane(record)?.unlessUp(),
    laneOf: (record) => nodeLane(record) ?? whole,
    isHandshake: ({ name }) => name === 'cluster' && cluster.status === 'connect',
    resubmitAll,
  }
}

function createLane(connection: Node | Cluster, resubmit: (record: Pending) => void, isUp: () => boolean) {
  let parked: Pending[] = []
  /** It was down when somebody began to wait: once it is up, these go first. */
  let hasQueue = false
  const lane = { downSinceMs: undefined as number | undefined, park, unlessUp, resubmitAll }

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
  function resubmitAll(): void {
    const waiting = parked
    parked = []
    hasQueue = false
    for (const record of waiting) if (!record.isSettled) resubmit(record)
  }
}

function isWritable(node: Node): boolean {
  return node.status === 'ready' && node.stream?.writable === true
}

const keyOf = ({ options }: Node) => `${options.host}:${options.port}`
