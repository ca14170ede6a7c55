/**
 * The whole shop in containers, under a project name and on a port of its own: says `{ url, project }` in one line of JSON when all
 * are healthy, and is taken down with its volumes when this process is told to stop, or whoever started it is gone.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { pickPort } from '@shop/test-kit/port'
import { DockerComposeEnvironment, Wait } from 'testcontainers'

const root = join(import.meta.dirname, '..', '..', '..')
const gatewayPort = 3000
/** Certificates, migrations and the catalogue are made first; the first time the images are built too. */
const startupMs = 15 * 60_000

const project = `shop-e2e-${randomBytes(3).toString('hex')}`
const port = await pickPort()
const stopped = Promise.race([
  ...(['SIGTERM', 'SIGINT'] as const).map((signal) => new Promise((resolve) => process.once(signal, resolve))),
  new Promise((resolve) => process.stdin.resume().once('end', resolve)),
])

// No reaper: it would be one more image to fetch. What this process starts it takes down itself.
const shop = await new DockerComposeEnvironment(root, 'docker-compose.yml')
  .withProjectName(project)
  .withAutoCleanup(false)
  .withBuild()
  .withEnvironment({ ...(process.env as Record<string, string>), SHOP_PORT: String(port), SHOP_PRODUCTS: '400' })
  .withDefaultWaitStrategy(Wait.forHealthCheck())
  .withStartupTimeout(startupMs)
  .up()
try {
  const gateway = shop.getContainer('gateway-1')
  // The engine may be on another machine, or this one a container itself: not always localhost.
  const url = `http://${gateway.getHost()}:${gateway.getMappedPort(gatewayPort)}`
  process.stdout.write(`${JSON.stringify({ url, project })}\n`)
  await stopped
} finally {
  await shop.down({ removeVolumes: true, timeout: 5_000 })
}
process.exit()
