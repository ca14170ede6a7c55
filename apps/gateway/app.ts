/** The gateway, wired: the only published port. It limits requests, identifies callers and chooses the instance that answers. */
import { closeRedis, connectRedis, connectSubscriber } from '@shop/redis-kit/connection'
import { createDirectory, createRegistry } from '@shop/redis-kit/discovery'
import { createChannel } from '@shop/redis-kit/pubsub'
import { createSessionReader } from '@shop/redis-kit/session'
import { createCountedClient } from '@shop/service-kit/call/client-metrics'
import { answersAsItself } from '@shop/service-kit/call/instance-check'
import { createServer } from '@shop/service-kit/http/server'
import { createIdentityMinter } from '@shop/service-kit/identity'
import type { App, Surroundings } from '@shop/service-kit/process'
import { directoryProbe, redisProbe } from '@shop/service-kit/process/health'
import { logRedisState, redisTls, warnOfEviction } from '@shop/service-kit/storage/redis'
import { registryKeys } from '@shop/service-kit/storage/registry-keys'
import { watchRateLimits } from '@shop/service-kit/telemetry/rate-limit-metrics'
import { admitRequests } from './admission/admission.ts'
import { createBulkheads } from './admission/bulkheads.ts'
import { limitConnections } from './admission/connections.ts'
import { createLimitOf, warmUpLimits } from './admission/limit-of-policy.ts'
import { createLimitSet } from './admission/limit-set.ts'
import { createRequestLimits } from './admission/request-limits.ts'
import { createTally } from './admission/tally.ts'
import { createApiKeyReader } from './api-key.ts'
import { createCallerOf } from './caller.ts'
import { type Config, readTrust } from './config.ts'
import { consoleRoutes } from './console.ts'
import { createDescriptions } from './docs/descriptions.ts'
import { docsRoutes } from './docs/routes.ts'
import { createIdentify } from './identity.ts'
import { keys } from './keys.ts'
import { createLimits } from './limits/limits.ts'
import { createOverrides, overrideKeys } from './limits/overrides/overrides.ts'
import { type ChangeHint, createOverrideSync } from './limits/overrides/sync.ts'
import { defaultPolicyFile, readPolicyFile } from './limits/policy-file/policy-file.ts'
import { createPolicyStore } from './limits/policy-store.ts'
import { limitRoutes } from './limits/routes.ts'
import { maxBufferedBytes } from './limits/table-rules.ts'
import { createForwarding, forwardRoutes } from './proxy/proxy.ts'
import { createStreaming } from './proxy/streaming.ts'
import { services } from './routes.ts'

export async function buildApp(
  config: Config,
  { log, name, instanceId, metrics, stopping }: Surroundings,
): Promise<App> {
  const { trustProxy, isCrossOrigin } = readTrust(config)
  const policyFile = config.RATE_LIMIT_FILE ?? defaultPolicyFile
  const read = () => readPolicyFile(policyFile)
  const policies = createPolicyStore({ source: await read(), read, log })
  const { state, cache, subscriber } = openConnections(config, { instanceId, log })
  const registry = createRegistry(state, { keys: registryKeys })
  const directory = createDirectory(registry, subscriber, { services: [...services, name], answers: answersAsItself })
  const streamConnectionCount = config.STREAM_MAX_COUNT
  const client = createCountedClient({ directory, streamConnectionCount }, { metrics, services })
  const overrides = createOverrides(state)
  const hints = createChannel<ChangeHint>(state, subscriber, { keys: overrideKeys.hints })
  const sync = createOverrideSync({ overrides, hints, store: policies, instanceId, log })
  await Promise.all([directory.start(), sync.start()])

  const watch = watchRateLimits({ log, metrics })
  const instances = () => Math.max(1, directory.instances(name).length)
  const limits = createLimitSet(policies, createLimitOf({ redis: { cache, state }, watch, instances }))
  const tally = createTally({ log, metrics })

  const server = createServer({
    log,
    name,
    metrics,
    identity: 'none',
    docs: 'own',
    trustProxy,
    bodyLimitBytes: maxBufferedBytes,
    probes: [
      redisProbe('redis-state', state, { required: false, family: keys.sessions.session }),
      directoryProbe(directory),
      redisProbe('redis-cache', cache, { required: false, family: keys.limits.cache.gcra.bucket }),
      watch.probe,
    ],
  })
  const identify = createIdentify({
    sessions: createSessionReader(state, { keys: keys.sessions }),
    apiKeys: createApiKeyReader(state, { keys: keys.apiKeys }),
  })
  const callerOf = createCallerOf(server, { identify, isCrossOrigin })
  const maxCountPerAddress = () => policies.current().maxConnectionsPerAddress
  limitConnections(server.server, { maxCountPerAddress, trustProxy, tally })
  admitRequests(server, {
    trustProxy,
    limits: createRequestLimits(limits, config.IDENTITY_PRIVATE_KEY),
    bulkheads: createBulkheads(policies),
    callerOf,
    tally,
  })
  const forwarding = createForwarding({
    client,
    forwardStream: createStreaming({ client, metrics, stopping, ...streamLimits(config) }),
    callerOf,
    mint: createIdentityMinter(config.IDENTITY_PRIVATE_KEY),
    timeoutMs: config.REQUEST_TIMEOUT_MS,
  })
  forwardRoutes(server, forwarding)
  consoleRoutes(server, client, forwarding)
  limitRoutes(server, createLimits({ store: policies, overrides, sync }), callerOf)
  docsRoutes(server, createDescriptions({ client, services, log }))
  await warmUpLimits(policies.current(), { cache, state })

  return {
    server,
    registry,
    loops: [sync.loop],
    reload: policies.reload,
    close: async () => {
      tally.close()
      await Promise.all([client.close(), directory.close()])
      await Promise.all([subscriber.close(), closeRedis(state), closeRedis(cache)])
    },
  }
}

function openConnections(config: Config, { instanceId, log }: Pick<Surroundings, 'instanceId' | 'log'>) {
  const tls = redisTls(config)
  const toCache = { tls, onStateChange: logRedisState({ role: 'cache', log }) }
  const toState = { tls, onStateChange: logRedisState({ role: 'state', log }) }
  const state = connectRedis(config.REDIS_STATE_URL, { name: instanceId, ...toState, commandTimeoutMs: 1_000 })
  const cache = connectRedis(config.REDIS_CACHE_URL, { name: instanceId, ...toCache })
  warnOfEviction(state, { role: 'state', log })
  warnOfEviction(cache, { role: 'cache', log })
  const subscriber = connectSubscriber(config.REDIS_STATE_URL, { name: `${instanceId}-subscriber`, ...toState })
  return { state, cache, subscriber }
}

function streamLimits(config: Config) {
  return {
    maxCount: config.STREAM_MAX_COUNT,
    maxCountPerCaller: config.STREAM_MAX_COUNT_PER_CALLER,
    timeoutMs: config.REQUEST_TIMEOUT_MS,
    idleMs: config.STREAM_IDLE_MS,
    maxMs: config.STREAM_MAX_MS,
  }
}
