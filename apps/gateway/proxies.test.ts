/** The proxies of docs/behind-a-proxy.md, run as their files say, in front of a gateway. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pickPort } from '@shop/test-kit/port'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Answer, startGateway } from './gateway.fixture.ts'
import { policyFile } from './limits/policies.fixture.ts'

const examples = join(import.meta.dirname, '../../infra/proxy')
const has = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
const hasNginx = has('nginx', '-v')
const hasNginxImage = !hasNginx && has('docker', 'image', 'inspect', 'nginx:1')
const hasCaddy = has('caddy', 'version')

interface Files {
  folder: string
  certificate: string
  key: string
}

const proxies = [
  { name: 'nginx', isThere: hasNginx || hasNginxImage, start: startNginx },
  { name: 'Caddy', isThere: hasCaddy, start: startCaddy },
]

const events: Answer = (request, response) => {
  if (request.method !== 'GET' || !request.url?.endsWith('/events')) return echo(request, response)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
  response.write('data: first\n\n')
}

const echo: Answer = (request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ headers: request.headers }))
  })
}

for (const { name, isThere } of proxies) {
  if (!isThere) process.stderr.write(`${name} is not on this machine: its example is not run\n`)
}

describe.each(proxies)('behind $name', ({ isThere, start }) => {
  let folder: string
  let gateway: Awaited<ReturnType<typeof startGateway>>
  let proxy: ChildProcess
  let port: number

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shop-proxy-'))
    const limits = { RATE_LIMIT_FILE: policyFile({ address: { limit: '1 per 1s', burst: 20 } }) }
    gateway = await startGateway({ TRUST_PROXY: '127.0.0.1', ...limits }, { order: events, user: echo, catalog: echo })
    port = await pickPort()
    proxy = start({ folder, ...selfSigned(folder) }, port, Number(new URL(gateway.url).port))
    await vi.waitFor(() => ask({ from: '127.0.0.9' }), { timeout: 20_000, interval: 100 })
  })

  afterAll(async () => {
    if (proxy.exitCode === null) {
      proxy.kill('SIGTERM')
      await once(proxy, 'exit')
    }
    await gateway.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  interface Asking {
    /** The client's address: every 127.x.y.z is this machine. */
    from: string
    method?: string
    path?: string
    headers?: Record<string, string>
    body?: Buffer
  }

  async function open({
    from,
    method = 'GET',
    path = '/api/cart',
    headers = {},
    body,
  }: Asking): Promise<IncomingMessage> {
    const options = { host: '127.0.0.1', port, localAddress: from, rejectUnauthorized: false, agent: false }
    const request = httpsRequest({
      ...options,
      method,
      path,
      servername: 'localhost',
      headers: { host: `localhost:${port}`, ...headers },
    })
    request.on('error', () => {})
    const answered = once(request, 'response')
    request.end(body)
    return (await answered)[0]
  }

  async function ask(asking: Asking) {
    const response = await open(asking)
    return { status: response.statusCode, body: JSON.parse(await text(response)) }
  }

  it.skipIf(!isThere)('each client has a limit of its own, whatever it says about its address', async () => {
    const knock = async (from: string, count: number) => {
      const claim = () => ({ 'x-forwarded-for': `203.0.113.${Math.floor(Math.random() * 250)}` })
      const answers = await Promise.all(Array.from({ length: count }, () => ask({ from, headers: claim() })))
      return answers.filter(({ status }) => status === 429).length
    }
    expect(await knock('127.0.0.2', 40)).toBeGreaterThan(10)
    expect(await knock('127.0.0.3', 10)).toBe(0)
  })

  it.skipIf(!isThere)('the services see https, and the cookies of https only', async () => {
    const headers = { cookie: 'shop_cart=http; __Host-shop_cart=https', 'x-forwarded-proto': 'http' }
    const { body } = await ask({ from: '127.0.0.4', headers })
    expect(body.headers).toMatchObject({ 'x-forwarded-proto': 'https', cookie: '__Host-shop_cart=https' })
  })

  it.skipIf(!isThere)('pages of the shop may change things, pages of other sites may not', async () => {
    const post = async (origin: string) =>
      (
        await ask({
          from: '127.0.0.5',
          method: 'POST',
          path: '/api/sessions',
          headers: { origin },
          body: Buffer.from('{}'),
        })
      ).status
    expect(await post(`https://localhost:${port}`)).toBe(200)
    expect(await post('https://evil.example')).toBe(403)
  })

  it.skipIf(!isThere)('a body that is too large is refused, and the client reads why', async () => {
    const body = Buffer.alloc(3 * 1_048_576, ' ')
    const answer = await ask({ from: '127.0.0.6', method: 'POST', path: '/api/sessions', body })
    expect([answer.status, answer.body.code]).toEqual([413, 'body-too-large'])
  })

  it.skipIf(!isThere)('an event arrives while its stream goes on', async () => {
    const response = await open({ from: '127.0.0.7', path: '/api/orders/1/events' })
    const [piece] = await once(response, 'data')
    expect(String(piece)).toBe('data: first\n\n')
    response.destroy()
  })
})

function selfSigned(folder: string): Omit<Files, 'folder'> {
  const files = { certificate: join(folder, 'shop.crt'), key: join(folder, 'shop.key') }
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  execFileSync(
    'openssl',
    ['req', '-x509', '-nodes', '-days', '2', ...ec, '-keyout', files.key, '-out', files.certificate, ...names],
    {
      stdio: 'ignore',
    },
  )
  return files
}

/** The file with another port, another gateway and another certificate. */
function example(name: string, replacements: readonly (readonly [string, string])[]): string {
  return replacements.reduce(
    (content, [from, to]) => {
      if (!content.includes(from)) throw new Error(`infra/proxy/${name} has no ${from}`)
      return content.replace(from, to)
    },
    readFileSync(join(examples, name), 'utf8'),
  )
}

function startNginx({ folder, certificate, key }: Files, port: number, gatewayPort: number): ChildProcess {
  const server = example('nginx.conf', [
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['server 127.0.0.1:8080;', `server 127.0.0.1:${gatewayPort};`],
    ['/etc/ssl/shop.crt', certificate],
    ['/etc/ssl/shop.key', key],
  ])
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const main = `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
http { access_log off; ${places.join(' ')} include ${folder}/shop.conf; }`
  writeFileSync(join(folder, 'shop.conf'), server)
  writeFileSync(join(folder, 'nginx.conf'), main)
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf')]
  const inContainer = [
    'run',
    '--rm',
    '--init',
    '--network',
    'host',
    '-v',
    `${folder}:${folder}`,
    'nginx:1',
    'nginx',
    ...args,
  ]
  return hasNginx ? spawn('nginx', args, { stdio: 'ignore' }) : spawn('docker', inContainer, { stdio: 'ignore' })
}

function startCaddy({ folder, certificate, key }: Files, port: number, gatewayPort: number): ChildProcess {
  const site = example('Caddyfile', [
    ['shop.example {', `https://localhost:${port} {\n\ttls ${certificate} ${key}`],
    ['127.0.0.1:8080', `127.0.0.1:${gatewayPort}`],
  ])
  writeFileSync(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${site}`)
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  return spawn('caddy', ['run', '--config', join(folder, 'Caddyfile')], { stdio: 'ignore', env })
}
