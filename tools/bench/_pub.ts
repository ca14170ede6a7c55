import { startRedis } from '@shop/test-kit/redis-server'
import { makeEvent } from './stream/event.ts'
import { closeRedis, connectOurs, openTopic } from './stream/ours.ts'

const server = await startRedis()
const redis = await connectOurs(server.url)
const { topic } = openTopic(redis, 'x')
async function run(ms: number) {
  let n = 0
  const until = performance.now() + ms
  const cpu = process.cpuUsage()
  const t = performance.now()
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (performance.now() < until) {
        await topic.publish(makeEvent())
        n++
      }
    }),
  )
  const took = performance.now() - t
  const c = process.cpuUsage(cpu)
  return { kps: Math.round((n / took) * 10) / 10, cpuUs: (c.user + c.system) / n, n }
}
await run(1500)
await redis.config('RESETSTAT')
for (let i = 0; i < 3; i++) {
  const r = await run(1500)
  console.log(JSON.stringify(r))
}
const info = await redis.info('commandstats')
console.log(
  info
    .split('\n')
    .filter((l) => /evalsha|xadd|hmget|hset|xtrim|pexpire|xrange/.test(l))
    .join('\n'),
)
const cpu = await redis.info('cpu')
console.log(cpu.match(/used_cpu_user_main.*/)?.[0])
await closeRedis(redis)
await server.stop()
