/**
 * Turns empty nodes into a Redis Cluster of masters by CLUSTER commands: what `redis-cli --cluster create` does, minus
 * its one-second polls and its need for redis-cli.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, command, type RedisAddress } from './redis-wire.ts'

const SLOT_COUNT = 16_384
const POLL_MS = 20

/** Deals the slots out evenly, introduces the nodes, and resolves when every node reports `cluster_state:ok`. */
export async function formCluster(nodes: RedisAddress[], timeoutMs = 20_000): Promise<void> {
  await Promise.all(
    nodes.map(async (node, index) => {
      const from = Math.floor((index * SLOT_COUNT) / nodes.length)
      const to = Math.floor(((index + 1) * SLOT_COUNT) / nodes.length) - 1
      // Distinct epochs from the start: otherwise the nodes spend their first seconds resolving the collision.
      await command(node, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      await command(node, 'CLUSTER', 'ADDSLOTSRANGE', from, to)
    }),
  )
  // Every pair by name: gossip would introduce the others, but only after a second or two.
  for (const [index, node] of nodes.entries()) {
    for (const other of nodes.slice(index + 1)) await command(node, 'CLUSTER', 'MEET', '127.0.0.1', other.port)
  }
  const deadlineMs = Date.now() + timeoutMs
  for (;;) {
    const infos = await Promise.all(nodes.map((node) => ask(node, [['CLUSTER', 'INFO']])))
    if (infos.every((info) => isFormed(info, nodes.length))) return
    if (Date.now() > deadlineMs) throw new Error(`no Redis Cluster after ${timeoutMs} ms:\n${infos.join('\n')}`)
    await sleep(POLL_MS)
  }
}

function isFormed(info: string | undefined, nodeCount: number): boolean {
  return Boolean(
    info?.includes('cluster_state:ok\r\n') &&
      info.includes(`cluster_known_nodes:${nodeCount}\r\n`) &&
      info.includes(`cluster_slots_ok:${SLOT_COUNT}\r\n`),
  )
}
