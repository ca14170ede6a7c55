/** What an attacker finds: the running containers are looked at and knocked at. Each check is shown to see what it looks for. */
import { serviceNames, services } from '@shop/contracts/services'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { baseUrl } from '../shopper.ts'
import { type Container, containers, docker, project, runIn, serviceOf, throwAway } from './docker.ts'
import { postgresPlain, redisPlain, tlsTo, tryTcp } from './knock.ts'
import { hardeningBreaches, networkBreaches, portBreaches } from './protections.ts'

const dataNetwork = `${project}_data`
const redisServers = ['redis-cache', 'redis-state'] as const
/** A server without protection is to be of the kind that the shop has. */
let redisImage: string

let shop: Container[]
/** Everything that must not be done, in one container. */
let careless: Awaited<ReturnType<typeof throwAway>>

beforeAll(async () => {
  shop = await containers()
  redisImage = shop.find((one) => serviceOf(one) === 'redis-state')?.Config.Image ?? ''
  careless = await throwAway(
    ...['--network', dataNetwork, '--network-alias', 'careless', '-e', 'ADMIN_PASSWORD=x', '-v', '/tmp:/host'],
    ...[redisImage, 'redis-server', '--protected-mode', 'no'],
  )
})
afterAll(() => careless?.stop())

/** First: the tests below are refused things on purpose. */
describe('the Redis users', () => {
  it.each(redisServers)('were refused nothing by %s in all that the shoppers did', async (server) => {
    expect(await refusals(server)).toEqual([])
  })

  it.each(redisServers)('are written down by %s when they are refused something', async (server) => {
    expect(await redisCli(server, 'KEYS', '*')).toContain('NOPERM')
    expect(await refusals(server)).toContain('audit command keys')
    await redisCli(server, 'ACL', 'LOG', 'RESET')
  })
})

/** First too, for the same reason. */
describe('the connections of the services', () => {
  it.each(redisServers)('to %s are all encrypted in a way that both sides accept', async (server) => {
    expect(await failedHandshakes(server)).toEqual([])
  })

  it.each(redisServers)('to %s are written down when they are not', async (server) => {
    await runIn('catalog', tlsTo(server, { ca: 'another' }))
    await expect.poll(() => failedHandshakes(server)).not.toEqual([])
  })
})

describe('the containers', () => {
  it('are those of docker-compose.yml, with two of catalog and order', () => {
    const instances = serviceNames.flatMap((name) => Array(services[name].instances).fill(name))
    expect(shop.map(serviceOf).sort()).toEqual([...instances, 'postgres', 'redis-cache', 'redis-state'].sort())
  })

  it('publish no port but the one of the gateway', async () => {
    expect(portBreaches(shop)).toEqual([])
    const open = await throwAway('-p', '127.0.0.1::6379', redisImage)
    const breaches = portBreaches([open.container])
    await open.stop()
    expect(breaches).toEqual([expect.stringContaining('publishes 6379/tcp')])
  })

  it('run as a plain user on a read-only system without capabilities, and know no secret by their environment', () => {
    expect(hardeningBreaches(shop)).toEqual([])
    const breaches = hardeningBreaches([careless.container]).join()
    for (const what of [
      'as root',
      'root file',
      'capabil',
      'gain priv',
      'memory',
      'processes',
      'the host',
      'a secret',
    ]) {
      expect(breaches).toContain(what)
    }
  })

  it('really have no process of root', async () => {
    const users = async (id: string) => {
      const [, ...lines] = (await docker('top', id, '-eo', 'pid,uid')).split('\n')
      return lines.map((line) => line.trim().split(/\s+/)[1])
    }
    for (const { Id } of shop) expect(await users(Id)).not.toContain('0')
    const rootly = await throwAway('--entrypoint', 'sleep', redisImage, '60')
    const found = await users(rootly.container.Id)
    await rootly.stop()
    expect(found).toContain('0')
  })

  it('are on the networks they are meant for, of which only edge has a way out', async () => {
    expect(networkBreaches(shop, project)).toEqual([])
    expect(networkBreaches([careless.container], project)).not.toEqual([])
    const isInternal = (name: string) => docker('network', 'inspect', '-f', '{{.Internal}}', `${project}_${name}`)
    expect(await Promise.all(['services', 'data', 'edge'].map(isInternal))).toEqual(['true', 'true', 'false'])
  })

  it('have no way out, but for the gateway', async () => {
    const bridge = await docker('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', 'bridge')
    const out = tryTcp(bridge, Number(new URL(baseUrl).port))
    for (const service of serviceNames.filter((name) => !services[name].isPublic))
      expect(await runIn(service, out)).not.toBe('connected')
    expect(await runIn('gateway', out)).toBe('connected')
  })

  it('are out of reach for a container that is not one of them', async () => {
    const targets = shop.flatMap((container) =>
      Object.values(container.NetworkSettings.Networks).map(({ IPAddress }) => [IPAddress, portOf(container)] as const),
    )
    const knock = (network: string, [host, port]: (typeof targets)[number]) =>
      docker('run', '--rm', '--network', network, 'redis-shop/tools', '-e', tryTcp(host, port))
    const source = targets.map(([host, port]) => tryTcp(host, port)).join('\n')
    const answers = await docker('run', '--rm', '--network', 'bridge', 'redis-shop/tools', '-e', source)
    expect(answers.split('\n')).toHaveLength(targets.length)
    expect(answers).not.toContain('connected')
    const redis = shop.find((one) => serviceOf(one) === 'redis-state') as Container
    const inside = [redis.NetworkSettings.Networks[dataNetwork]?.IPAddress as string, portOf(redis)] as const
    expect(await knock(dataNetwork, inside)).toBe('connected')
  })
})

describe('the data', () => {
  it.each(redisServers)('is not given out in plain text by %s', async (server) => {
    expect(await runIn('catalog', redisPlain(server))).not.toContain('PONG')
    expect(await runIn('catalog', redisPlain('careless'))).toContain('PONG')
  })

  it.each(redisServers)(
    'is given out over TLS by %s, whose certificate only the private CA vouches for',
    async (server) => {
      expect(await runIn('catalog', tlsTo(server, { ca: 'ours' }))).toBe('authorized')
      expect(await runIn('catalog', tlsTo(server, { ca: 'another' }))).toMatch(/UNABLE_TO|SELF_SIGNED/)
      expect(await runIn('catalog', tlsTo(server, { ca: 'ours', name: 'postgres' }))).toBe(
        'ERR_TLS_CERT_ALTNAME_INVALID',
      )
    },
  )

  it.each(redisServers)('is not given out to who has no password by %s', async (server) => {
    expect(await redisCli(server, 'GET', 'catalog:product:{x}:value', { user: 'default', password: 'guess' })).toMatch(
      /WRONGPASS|NOAUTH/,
    )
  })

  it('is not given out without TLS by Postgres', async () => {
    expect(await runIn('catalog', postgresPlain('postgres'))).toContain('no encryption')
    const open = await throwAway(
      ...['--network', dataNetwork, '--network-alias', 'open-postgres', '-e', 'POSTGRES_HOST_AUTH_METHOD=trust'],
      'postgres:18',
    )
    const answer = () => runIn('catalog', postgresPlain('open-postgres'))
    await expect.poll(answer, { timeout: 60_000, interval: 1_000 }).toContain('role "catalog" does not exist')
    await open.stop()
  }, 120_000)

  it('lies in folders that each container has for itself', async () => {
    const list = "console.log(fs.readdirSync('/run/shop').sort().join())"
    for (const service of serviceNames) expect(await runIn(service, list)).toBe('ca.crt,env')
    const env = "console.log(fs.readFileSync('/run/shop/env', 'utf8'))"
    expect(await runIn('catalog', env)).not.toContain('IDENTITY_PRIVATE_KEY')
    expect(await runIn('gateway', env)).not.toContain('DATABASE_URL')
    expect(await runIn('gateway', env)).toContain('IDENTITY_PRIVATE_KEY')
  })
})

function portOf(container: Container): number {
  const service = serviceOf(container)
  return service === 'postgres' ? 5432 : service.startsWith('redis-') ? 6379 : 3000
}

async function failedHandshakes(server: string): Promise<string[]> {
  const [container] = await containers({ service: server })
  const log = await docker('logs', container?.Id ?? '')
  return log
    .split('\n')
    .filter((line) => line.includes('Error accepting a client connection'))
    .slice(-3)
}

/** Who was refused what: `catalog key order:cart:x`. */
async function refusals(server: string): Promise<string[]> {
  const log: { reason: string; object: string; username: string }[] = JSON.parse(
    await redisCli(server, '--json', 'ACL', 'LOG'),
  )
  return log.map(({ reason, object, username }) => `${username} ${reason} ${object}`)
}

/** As `audit`, whose password is in the server's own folder. */
async function redisCli(server: string, ...words: (string | { user: string; password: string })[]): Promise<string> {
  const [container] = await containers({ service: server })
  const args = words.filter((word) => typeof word === 'string')
  const login = words.find((word) => typeof word === 'object')
  const password = login ? login.password : '$(cat /run/shop/audit)'
  const client = `redis-cli --tls --cacert /run/shop/ca.crt --no-auth-warning --user ${login?.user ?? 'audit'}`
  return docker('exec', container?.Id ?? '', 'sh', '-c', `REDISCLI_AUTH=${password} ${client} "$@" 2>&1`, 'sh', ...args)
}
