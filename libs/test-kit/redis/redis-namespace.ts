/** Looks at what a test has left in its namespace, and deletes it: by SCAN, and never by FLUSHALL, on any topology. */
import { Cluster, type Redis } from 'ioredis'

const SCAN_COUNT = 1000

/** Deletes every key that begins with the name. Resolves to those that had no expiry and were not allowed to. */
export async function sweepNamespace(
  connection: Redis | Cluster,
  namespace: string,
  allowImmortal: (key: string) => boolean,
): Promise<string[]> {
  const immortal: string[] = []
  for (const node of await mastersOf(connection)) {
    for await (const keys of scan(node, `${namespace}*`)) {
      const ttls = await Promise.all(keys.map((key) => node.pttl(key)))
      immortal.push(...keys.filter((key, index) => ttls[index] === -1 && !allowImmortal(key)))
      await Promise.all(keys.map((key) => node.unlink(key))) // one by one: on a Cluster they are of many slots
    }
  }
  return immortal.sort()
}

async function mastersOf(connection: Redis | Cluster): Promise<Redis[]> {
  if (!(connection instanceof Cluster)) return [connection]
  await connection.cluster('INFO') // a Cluster knows its nodes once it has answered
  return connection.nodes('master')
}

/** What SCAN promises: every key that is there all the time. What comes back twice has been deleted by then. */
async function* scan(node: Redis, pattern: string): AsyncIterable<string[]> {
  let cursor = '0'
  do {
    const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT)
    if (keys.length > 0) yield keys
    cursor = next
  } while (cursor !== '0')
}
