/** The console of streams with the rights that its owner has anyway. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aclFile } from '@shop/redis-kit/acl'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { createDeadLetters } from '@shop/redis-kit/stream/dead-letters'
import { topicOverview } from '@shop/redis-kit/stream/overview'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, it, onTestFinished } from 'vitest'
import { generateSecrets } from './secrets.ts'

const passwords = generateSecrets().redis
const keys = topicKeys('order', 'events', { partitions: 2 })

/** The state server as it is in the containers, and a connection as one of the services. */
async function stateServer() {
  const dir = mkdtempSync(join(tmpdir(), 'shop-acl-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const aclfile = join(dir, 'users.acl')
  const admin = { username: 'admin', password: 'for-this-test-only' }
  const text = aclFile('state', await readKeyFamilies(), passwords)
  writeFileSync(aclfile, `${text}user ${admin.username} on >${admin.password} allkeys allchannels allcommands\n`)
  const server = await startRedis({ ...admin, config: { aclfile } })
  onTestFinished(() => server.stop())
  return (service: string) => {
    const redis = connectRedis(`redis://${service}:${passwords[service]}@127.0.0.1:${server.port}`, { name: service })
    onTestFinished(() => closeRedis(redis))
    return redis
  }
}

it('the owner of a topic may look at it, and redrive and discard what others gave up', async () => {
  const redis = (await stateServer())('order')
  await createTopic(redis, { keys }).publish({ id: 'event-1', key: 'order-1', type: 'order.placed', body: '{}' })
  await redis.xgroup('CREATE', keys.stream.key(0), 'catalog', '0', 'MKSTREAM')
  const letter = ['group', 'catalog', 'origin', '1-1', 'reason', 'r', 'attempts', '5', 'trace', '', 'id', 'event-2']
  for (let i = 0; i < 2; i++) await redis.xadd(keys.dead.key(0), '*', ...letter)

  expect(await topicOverview(redis, keys)).toMatchObject({ deadLetterCount: 2, groups: [{ group: 'catalog' }] })
  const letters = createDeadLetters(redis, { keys })
  const [first, second] = (await letters.list()).letters.map(({ letterId }) => letterId) as [string, string]
  expect(await letters.find(first)).toMatchObject({ eventId: 'event-2' })
  expect(await letters.redrive(first)).toMatch(/^\d+-\d+$/)
  expect(await letters.discard(second)).toBe(true)
  expect(await letters.count()).toBe(0)
})

it('nobody else may', async () => {
  const connect = await stateServer()
  for (const service of ['user', 'gateway']) {
    const redis = connect(service)
    await expect(topicOverview(redis, keys)).rejects.toThrow('NOPERM')
    await expect(createDeadLetters(redis, { keys }).list()).rejects.toThrow('NOPERM')
    await expect(createDeadLetters(redis, { keys }).redrive('0.1-1')).rejects.toThrow('NOPERM')
    await expect(createDeadLetters(redis, { keys }).discard('0.1-1')).rejects.toThrow('NOPERM')
  }
})
