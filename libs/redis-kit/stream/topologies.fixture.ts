/** The servers that the suite of the stream runs over, and the ACL user that may do what the README says and nothing else. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type TestRedis, type Topology, testRedis } from '@shop/test-kit/redis'
import { afterAll } from 'vitest'
import { topicKeys } from './stream.ts'
import type { TopicServers } from './topic.fixture.ts'

/** `acl`: one server, and a user with the keys of a topic only. */
export const topologies = ['standalone', 'cluster', 'acl'] as const

/** To be called at the top of a file or `describe`. */
export async function topicServers(topology: (typeof topologies)[number]): Promise<TopicServers> {
  if (topology !== 'acl') return (await testRedis({ topology })) as TestRedis<Topology>
  const servers = await testRedis()
  const admin = servers.connect()
  const [user, password] = [`stream-${servers.namespace()}`, randomBytes(16).toString('hex')]
  // A test's namespace is `t` and eight digits.
  const globs = topicKeys('t????????', 'events').families.map(({ pattern }) => `~${pattern.replace(/<[^>]*>/g, '*')}`)
  await admin.acl(
    'SETUSER',
    user,
    'on',
    `>${password}`,
    '-@all',
    ...commandsInReadme().map((name) => `+${name}`),
    ...globs,
  )
  afterAll(() => admin.acl('DELUSER', user))
  return { ...servers, userUrl: Object.assign(new URL(servers.url), { username: user, password }).href }
}

/** The README's list is the one that is tested: a command that it does not name is refused here. */
function commandsInReadme(): string[] {
  const text = readFileSync(new URL('./README.md', import.meta.url), 'utf8')
  const list = /An ACL has to allow ((?:`[\w|]+`\s*)+)/.exec(text)?.[1]
  if (!list) throw new Error('the README does not say which commands an ACL has to allow')
  return [...list.matchAll(/`([\w|]+)`/g)].map(([, name]) => name as string)
}
