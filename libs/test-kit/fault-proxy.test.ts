import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { type RedisServer, startRedis } from './redis/redis-server.ts'
import { ask, command } from './redis/redis-wire.ts'

let redis: RedisServer
let proxy: FaultProxy
const sockets: Socket[] = []

beforeEach(async () => {
  redis = await startRedis()
  proxy = await startFaultProxy({ port: redis.port })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await proxy.stop()
  await redis.stop()
})

/** A raw client: what it hears, and the error code with which it ended. */
async function connect() {
  const socket = createConnection({ port: proxy.port, host: '127.0.0.1' }).setEncoding('utf8')
  sockets.push(socket)
  const heard = { text: '', endedBy: undefined as string | undefined }
  socket.on('data', (chunk) => {
    heard.text += chunk
  })
  const closed = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve('closed'))
  })
  await once(socket, 'connect')
  const say = async (text: string) => {
    socket.write(`${text}\r\n`)
    await once(socket, 'data')
    return heard.text
  }
  return { socket, heard, closed, say }
}

test('without a fault it is just a connection', async () => {
  expect(await (await connect()).say('PING')).toBe('+PONG\r\n')
  const big = 'x'.repeat(5_000_000)
  await command({ port: proxy.port }, 'SET', 'big', big)
  expect(await command({ port: proxy.port }, 'GET', 'big')).toContain(big)
})

test('a cut resets every open connection, and the next one works', async () => {
  const clients = await Promise.all([connect(), connect()])
  await Promise.all(clients.map(({ say }) => say('PING')))
  expect(proxy.cut()).toBe(2)
  expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(await (await connect()).say('PING')).toBe('+PONG\r\n')
})

test('answers that are held wait until they are let through, in order', async () => {
  const { heard, say, socket } = await connect()
  await say('PING')
  const release = proxy.hold()
  socket.write('ECHO a\r\nECHO b\r\n')
  await expect.poll(() => proxy.counters().packetsToClient).toBeGreaterThanOrEqual(2)
  expect(heard.text).toBe('+PONG\r\n')
  release()
  await expect.poll(() => heard.text).toBe('+PONG\r\n$1\r\na\r\n$1\r\nb\r\n')
  expect(await say('PING')).toMatch(/b\r\n\+PONG\r\n$/)
})

test('a delay holds answers back and keeps their order when it ends early', async () => {
  const { heard, say, socket } = await connect()
  await say('PING')
  proxy.delay(200)
  const startMs = performance.now()
  await say('ECHO slow')
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(198)
  socket.write('ECHO first\r\n')
  await expect.poll(() => proxy.counters().packetsToClient).toBe(3)
  proxy.delay(0)
  socket.write('ECHO second\r\n')
  await expect.poll(() => heard.text).toMatch(/slow.*first.*second/s)
})

test('a black hole swallows both directions of open and new connections, and heals by a reset', async () => {
  const before = await connect()
  const idle = await connect()
  await Promise.all([before.say('PING'), idle.say('PING')])
  proxy.blackHole()
  const during = await connect()
  before.socket.write('SET lost 1\r\n')
  during.socket.write('SET lost 1\r\n')
  await expect.poll(() => proxy.counters().packetsToServer).toBe(4)
  expect(await ask({ port: redis.port }, [['EXISTS', 'lost']])).toContain(':0')
  expect(before.heard.text + during.heard.text).toBe('+PONG\r\n')
  await proxy.heal()
  expect([await before.closed, await during.closed]).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(await idle.say('ECHO alive')).toContain('alive') // it lost nothing, so it goes on
})

test('a refusing proxy resets open connections and refuses new ones until it heals on the same port', async () => {
  const client = await connect()
  await client.say('PING')
  const { port } = proxy
  await proxy.refuse()
  expect(await client.closed).toBe('ECONNRESET')
  await expect(connect()).rejects.toThrow('ECONNREFUSED')
  await proxy.heal()
  expect(proxy.port).toBe(port)
  expect(await (await connect()).say('PING')).toBe('+PONG\r\n')
})

test('cut after the next request: the server has executed it, the client never hears', async () => {
  const other = await connect()
  const client = await connect()
  await Promise.all([other.say('PING'), client.say('PING')])
  const cut = proxy.cutAfterNextRequest('INCR')
  expect(await client.say('ECHO passes')).toContain('passes')
  client.socket.write('INCR counter\r\n')
  await cut
  expect(await client.closed).toBe('ECONNRESET')
  expect(client.heard.text).not.toContain(':1')
  expect(await ask({ port: redis.port }, [['GET', 'counter']])).toContain('\r\n1\r\n')
  expect(await other.say('INCR counter')).toContain(':2') // one connection and one request, no more
})

test('it counts what passes', async () => {
  const { say } = await connect()
  await say('PING')
  expect(proxy.counters()).toEqual({
    connectionCount: 1,
    openCount: 1,
    packetsToServer: 1,
    bytesToServer: 6,
    packetsToClient: 1,
    bytesToClient: 7,
  })
  proxy.resetCounters()
  expect(proxy.counters()).toMatchObject({ connectionCount: 0, openCount: 1, bytesToServer: 0 })
})

test('a url goes by way of the proxy with everything else unchanged', () => {
  const here = `127.0.0.1:${proxy.port}`
  expect(proxy.via('redis://:p%40ss@10.0.0.1:6379/2')).toBe(`redis://:p%40ss@${here}/2`)
  expect(proxy.via('postgresql://u:p@localhost/shop?sslmode=off')).toBe(`postgresql://u:p@${here}/shop?sslmode=off`)
  expect(proxy.via('redis+cluster://a:1,b:2')).toBe(`redis+cluster://${here}`)
})

test('a client whose server is gone is told so', async () => {
  await redis.kill('SIGKILL')
  const { closed, socket } = await connect()
  socket.write('PING\r\n')
  expect(await closed).toMatch(/ECONNRESET|EPIPE/)
})
