/** Clients that leave while the gateway waits for Redis: for the limit of requests, and for the session. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Answer, startGateway } from '../gateway.fixture.ts'

describe.each(['state', 'cache'] as const)(
  'the request of a client that leaves while the Redis for %s is asked',
  (role) => {
    it('takes no place of a stream, and does not reach the service', async () => {
      const { gateway, askedPaths, cookie } = await start(role)
      await leaveDuring(gateway, gateway[role], { path: '/api/orders/1/events', cookie })
      const next = httpRequest(`${gateway.url}/api/orders/2/events`, { headers: { cookie }, agent: false }).end()
      const [response] = await once(next, 'response')
      next.on('error', () => {}).destroy()
      expect(response.statusCode).toBe(200)
      expect(askedPaths).toEqual(['/api/orders/2/events'])
      await vi.waitFor(async () => expect(await openStreamCount(gateway)).toBe(0), { timeout: 5_000 })
    })

    it('does not reach the service when it is an ordinary one', async () => {
      const { gateway, askedPaths, cookie } = await start(role)
      await leaveDuring(gateway, gateway[role], { path: '/api/orders/1', cookie })
      await (await fetch(`${gateway.url}/api/orders/2`, { headers: { cookie } })).text()
      expect(askedPaths).toEqual(['/api/orders/2'])
    })
  },
)

it('requests of clients that left before the gateway took their connections are no errors', async () => {
  const gateway = await startGateway()
  const reset = `
    for (let i = 0; i < 5; i++) {
      const socket = require('node:net').connect(${new URL(gateway.url).port}, '127.0.0.1', () => {
        socket.write('GET /api/cart HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n', () => socket.resetAndDestroy())
      })
    }`
  execFileSync(process.execPath, ['-e', reset]) // meanwhile the gateway, which is in this process, takes no connection
  await (await fetch(`${gateway.url}/api/cart`)).text() // its connection is taken after theirs
  await gateway.stop() // which waits for them
  expect(gateway.lines).toEqual([])
})

/** A gateway with a place for one stream of each caller, and an order service that notes what it is asked. */
async function start(role: 'state' | 'cache') {
  const askedPaths: (string | undefined)[] = []
  const order: Answer = ({ url }, response) => {
    askedPaths.push(url)
    if (!url?.endsWith('/events')) return response.end()
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  }
  const gateway = await startGateway({ STREAM_MAX_COUNT_PER_CALLER: '1' }, { order })
  onTestFinished(gateway.stop)
  const session = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
  const cookie = `shop_session=${session.id}`
  await untilUsed(gateway, gateway[role], cookie)
  askedPaths.length = 0
  return { gateway, askedPaths, cookie }
}

type Gateway = Awaited<ReturnType<typeof startGateway>>

/** A connection that is not made yet when Redis is frozen would never send the question. */
async function untilUsed({ url }: Gateway, { port }: Gateway['state'], cookie: string) {
  let isUsed = false
  commandTo(port).then(() => {
    isUsed = true
  })
  await vi.waitFor(
    async () => {
      await (await fetch(`${url}/api/cart`, { headers: { cookie } })).text()
      expect(isUsed).toBe(true)
    },
    { timeout: 10_000 },
  )
}

/** Sends a request and leaves. The gateway has seen the connection close before Redis answers. */
async function leaveDuring(
  gateway: Gateway,
  redis: Gateway['state'],
  { path, cookie }: Record<'path' | 'cookie', string>,
) {
  await redis.kill('SIGSTOP')
  const answer = answerTo(path)
  const asked = commandTo(redis.port)
  const request = httpRequest(gateway.url + path, { headers: { cookie }, agent: false }).end()
  request.on('error', () => {})
  const response = await answer
  await asked
  request.destroy()
  await once(response, 'close')
  await redis.kill('SIGCONT')
}

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
}

/** The gateway's own side of the next request for this path. */
function answerTo(path: string): Promise<ServerResponse> {
  return nextMessage('http.server.request.start', ({ request, response }: Exchange) => {
    return request.url === path ? response : undefined
  })
}

/** What ioredis says of a command; only the part that is used. */
interface CommandContext {
  serverPort?: number
  args: unknown[]
}

/** Resolves when this process sends a question about a session or a limit to the Redis on this port. */
function commandTo(port: number): Promise<true> {
  return nextMessage('tracing:ioredis:command:start', ({ serverPort, args }: CommandContext) => {
    return serverPort === port && /session|rate-limit/.test(String(args)) ? true : undefined
  })
}

/** The first message for which `pick` returns something. The channel decides what a message is. */
function nextMessage<Message, T>(channel: string, pick: (message: Message) => T | undefined): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>()
  diagnostics.subscribe(channel, listen)
  return promise

  function listen(message: unknown) {
    const picked = pick(message as Message)
    if (picked === undefined) return
    diagnostics.unsubscribe(channel, listen)
    resolve(picked)
  }
}

async function openStreamCount({ metrics }: Gateway): Promise<number> {
  const { text } = await metrics.page()
  return Number(/^gateway_open_streams\S* (\S+)/m.exec(text)?.[1])
}
