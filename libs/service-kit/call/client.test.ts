import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as elapse } from 'node:timers/promises'
import type { Instance } from '@shop/redis-kit/discovery'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createServiceClient, type ServiceClientOptions, ServiceUnavailable } from './client.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A real server as an instance; `served` counts the requests that reached it. */
async function instance(id: string, handler: Handler = (_, response) => response.end(id)) {
  const state = { served: 0, aborted: 0 }
  const server = createServer((request, response) => {
    state.served++
    response.once('close', () => {
      if (!response.writableFinished) state.aborted++
    })
    handler(request, response)
  })
  await listen(server)
  return Object.assign(state, { ...addressOf(server, id), server })
}

async function listen(server: Server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
}

function addressOf(server: Pick<Server, 'address'>, id: string): Instance {
  return { id, service: 'catalog', host: '127.0.0.1', port: (server.address() as AddressInfo).port, startedAtMs: 1 }
}

/** Nobody listens there (any more). */
async function deadInstance(id: string) {
  const server = createServer()
  await listen(server)
  const address = addressOf(server, id)
  await new Promise((resolve) => server.close(resolve))
  return address
}

/** It accepts and cuts the connection as soon as the request has arrived. */
async function cuttingInstance(id: string) {
  const state = { served: 0 }
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      state.served++
      socket.resetAndDestroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return Object.assign(state, addressOf(server as unknown as Server, id))
}

function clientOf(instances: readonly Instance[], options: Partial<ServiceClientOptions> = {}) {
  let current = instances
  const client = createServiceClient({ directory: { instances: () => current }, ...options })
  cleanups.push(() => client.close(0))
  return Object.assign(client, {
    setInstances(next: readonly Instance[]) {
      current = next
    },
  })
}

const get = { service: 'catalog', path: '/api/products?limit=2' } as const

describe('a request', () => {
  test('reaches an instance with its path, headers and body, and the raw answer comes back', async () => {
    const seen: Record<string, unknown> = {}
    const echo = await instance('echo', async (request, response) => {
      Object.assign(seen, { method: request.method, url: request.url, id: request.headers['x-request-id'] })
      response.writeHead(201, { etag: '"7"', 'set-cookie': ['a=1', 'b=2'] }).end(await buffer(request))
    })
    const client = clientOf([echo])
    const bytes = Buffer.from([0, 255, 128, 10])
    const answer = await client.request({ ...get, method: 'POST', headers: { 'x-request-id': 'r-1' }, body: bytes })
    expect(seen).toEqual({ method: 'POST', url: '/api/products?limit=2', id: 'r-1' })
    expect(answer).toMatchObject({ status: 201, body: bytes, instanceId: 'echo', attemptCount: 1 })
    expect(answer.headers).toMatchObject({ etag: '"7"', 'set-cookie': ['a=1', 'b=2'] })
  })

  test('a no of the service is an answer, not an error', async () => {
    const refusing = await instance('refusing', (_, response) =>
      response.writeHead(404).end('{"code":"product-not-found"}'),
    )
    const answer = await clientOf([refusing]).request(get)
    expect([answer.status, refusing.served]).toEqual([404, 1])
  })

  test('without any instance it fails at once, and says whose', async () => {
    const error = await clientOf([])
      .request(get)
      .catch((reason) => reason)
    expect(error).toBeInstanceOf(ServiceUnavailable)
    expect(error).toMatchObject({ service: 'catalog', reason: 'no-instance', wasSent: false, kind: 'unavailable' })
  })

  test('a request that cannot be made is our mistake: no retry, no blame', async () => {
    const a = await instance('a')
    const client = clientOf([a, await instance('b')])
    await expect(client.request({ ...get, headers: { bad: 'line\nbreak' } })).rejects.toThrow('invalid bad header')
    expect(client.inspect('catalog').some(({ isEjected }) => isEjected)).toBe(false)
  })

  test('an answer above the limit is refused without being kept', async () => {
    const large = await instance('large', (_, response) => response.end(Buffer.alloc(200_000)))
    const unsaid = await instance('unsaid', (_, response) => {
      response.write(Buffer.alloc(100_000))
      response.end(Buffer.alloc(100_000))
    })
    for (const one of [large, unsaid]) {
      const error = await clientOf([one], { maxBodyBytes: 150_000 })
        .request(get)
        .catch((reason) => reason)
      expect(error).toMatchObject({ reason: 'too-large', wasSent: true })
      expect(one.served).toBe(1)
    }
  })

  test('too many at once are refused instead of piling up', async () => {
    const hold = Promise.withResolvers<void>()
    const slow = await instance('slow', async (_, response) => {
      await hold.promise
      response.end()
    })
    const client = clientOf([slow], { maxInFlightCount: 2 })
    const running = [client.request(get), client.request(get)]
    await expect(client.request(get)).rejects.toMatchObject({ reason: 'overloaded', wasSent: false })
    hold.resolve()
    await Promise.all(running)
    await expect(client.request(get)).resolves.toMatchObject({ status: 200 })
  })

  test('1,100 calls that hang in one service leave the calls to another alone', async () => {
    const hanging = await instance('hanging', () => {})
    const well = await instance('well')
    const services: Record<string, Instance[]> = { order: [hanging], catalog: [well] }
    const client = createServiceClient({ directory: { instances: (service) => services[service] ?? [] } })
    cleanups.push(() => client.close(0))
    const caller = new AbortController()
    const hang = () => client.request({ service: 'order', path: '/', deadlineMs: 60_000, signal: caller.signal })
    const hung = Array.from({ length: 1_100 }, () => hang().catch((error) => error.reason))
    for (let call = 0; call < 20; call++) expect((await client.request(get)).status).toBe(200)
    await expect(hang()).rejects.toMatchObject({ service: 'order', reason: 'overloaded' })
    caller.abort()
    expect((await Promise.all(hung)).filter((reason) => reason === 'overloaded')).toHaveLength(100)
  })

  test('connections to one instance are bounded; the others wait for them', async () => {
    let open = 0
    let most = 0
    const one = await instance('one', async (_, response) => {
      most = Math.max(most, ++open)
      await elapse(5)
      open--
      response.end()
    })
    const client = clientOf([one], { connectionCount: 4 })
    await Promise.all(Array.from({ length: 40 }, () => client.request(get)))
    expect([one.served, most]).toEqual([40, 4])
  })
})

describe('trying again', () => {
  test('a refused connection goes elsewhere, whatever the method, and the instance is not asked again', async () => {
    const dead = await deadInstance('dead')
    const alive = await instance('alive')
    const client = clientOf([dead, alive])
    const answers = []
    for (let call = 0; call < 50; call++) answers.push(await client.request({ ...get, method: 'POST', body: '{}' }))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(answers.filter(({ attemptCount }) => attemptCount > 1).length).toBeLessThanOrEqual(1)
    expect(client.inspect('catalog').find(({ id }) => id === 'dead')?.isEjected).toBe(true)
  })

  test('a lost answer is tried again for an idempotent request', async () => {
    const cutting = await cuttingInstance('cutting')
    const alive = await instance('alive')
    const client = clientOf([cutting, alive], { balancer: { policy: 'round-robin' } })
    for (let call = 0; call < 4; call++) await expect(client.request(get)).resolves.toMatchObject({ status: 200 })
    expect(cutting.served).toBeGreaterThan(0)
  })

  test('a lost answer is not tried again for a request that may have had an effect', async () => {
    const cutting = await cuttingInstance('cutting')
    const error = await clientOf([cutting])
      .request({ ...get, method: 'POST', body: '{}' })
      .catch((reason) => reason)
    expect(error).toMatchObject({ reason: 'lost', wasSent: true })
    expect(cutting.served).toBe(1)
  })

  test('502, 503 and 504 go to another instance; the answer of the better one counts', async () => {
    for (const status of [502, 503, 504]) {
      const sick = await instance('sick', (_, response) => response.writeHead(status).end('sick'))
      const well = await instance('well')
      const client = clientOf([sick, well], { balancer: { policy: 'round-robin' } })
      const answers = [await client.request(get), await client.request(get)]
      expect(answers.map((answer) => [answer.status, answer.instanceId])).toEqual([
        [200, 'well'],
        [200, 'well'],
      ])
    }
  })

  test("when nobody does better, the service's own 503 is the answer", async () => {
    const unready: Handler = (_, response) =>
      response.writeHead(503, { 'retry-after': '3' }).end('{"code":"database-down"}')
    const client = clientOf([await instance('a', unready), await instance('b', unready)])
    const answer = await client.request(get)
    expect([answer.status, answer.headers['retry-after'], answer.body.toString()]).toEqual([
      503,
      '3',
      '{"code":"database-down"}',
    ])
    expect(answer.attemptCount).toBe(3)
  })

  test('a 500 is not tried again, and a 503 to a POST neither', async () => {
    const broken = await instance('broken', (request, response) =>
      response.writeHead(request.method === 'GET' ? 500 : 503).end(),
    )
    const client = clientOf([broken])
    expect((await client.request(get)).status).toBe(500)
    expect((await client.request({ ...get, method: 'POST' })).status).toBe(503)
    expect(broken.served).toBe(2)
  })

  test('a POST that carries an idempotency key may say so', async () => {
    let failures = 1
    const flaky = await instance('flaky', (_, response) => response.writeHead(failures-- > 0 ? 503 : 202).end())
    const answer = await clientOf([flaky]).request({ ...get, method: 'POST', body: '{}', idempotent: true })
    expect([answer.status, flaky.served]).toEqual([202, 2])
  })

  test('an instance that hangs costs an idempotent request one attempt, not the whole deadline', async () => {
    const hanging = await instance('hanging', () => {})
    const well = await instance('well')
    const client = clientOf([hanging, well], { balancer: { policy: 'round-robin' } })
    const answers = await Promise.all([
      client.request({ ...get, deadlineMs: 600 }),
      client.request({ ...get, deadlineMs: 600 }),
    ])
    expect(answers.map(({ instanceId }) => instanceId)).toEqual(['well', 'well'])
  })

  test('an outage does not multiply the load beyond the budget', async () => {
    const down = await instance('down', (_, response) => response.writeHead(503).end())
    const client = clientOf([down], { retryRatio: 0.2, retryBurstCount: 10 })
    for (let call = 0; call < 200; call++) await client.request(get)
    expect(down.served - 200).toBeLessThanOrEqual(0.2 * 200 + 10 + 10)
  })

  test('control: with a budget of everything it does', async () => {
    const down = await instance('down', (_, response) => response.writeHead(503).end())
    const client = clientOf([down], { retryRatio: 10 })
    for (let call = 0; call < 50; call++) await client.request(get)
    expect(down.served).toBe(150)
  })

  const later: Handler = (_, response) => response.writeHead(503, { 'x-retry': 'later' }).end()

  test('an answer that says "later" is tried on an instance that has not said so, and no more when all have', async () => {
    const all = [await instance('a', later), await instance('b', later), await instance('c', later)]
    const client = clientOf(all, { balancer: { policy: 'round-robin' } })
    for (let call = 0; call < 200; call++) {
      const keyed = { method: 'POST', body: '{}', idempotent: true }
      expect((await client.request({ ...get, ...(call % 2 && keyed) })).status).toBe(503)
    }
    const attemptCount = all.reduce((sum, { served }) => sum + served, 0)
    expect(attemptCount).toBeGreaterThanOrEqual(202)
    expect(attemptCount).toBeLessThanOrEqual(220)
  })

  test('an instance that alone says "later" fails no idempotent request', async () => {
    const cut = await instance('cut', later)
    const client = clientOf([cut, await instance('b'), await instance('c')], { balancer: { policy: 'round-robin' } })
    for (let call = 0; call < 100; call++) expect((await client.request(get)).status).toBe(200)
    expect(cut.served).toBeGreaterThan(0)
  })

  test('silence of every instance is not multiplied', async () => {
    const all = [await instance('a', () => {}), await instance('b', () => {})]
    const client = clientOf(all)
    const ask = () => client.request({ ...get, deadlineMs: 500 }).catch(({ reason }) => reason)
    await Promise.all([ask(), ask(), ask(), ask()])
    const before = all.reduce((sum, { served }) => sum + served, 0)
    expect(await Promise.all(Array.from({ length: 20 }, ask))).toEqual(Array(20).fill('timed-out'))
    expect(all.reduce((sum, { served }) => sum + served, 0) - before).toBe(20)
  })

  test('a streamed request body is sent once', async () => {
    const sick = await instance('sick', (request, response) => {
      request.resume()
      response.writeHead(503).end()
    })
    const answer = await clientOf([sick]).request({
      ...get,
      method: 'PUT',
      idempotent: true,
      body: Readable.from(['{}']),
    })
    expect([answer.status, sick.served]).toEqual([503, 1])
  })
})

describe('the deadline', () => {
  test('ends a request that nobody answers, and says that it was sent', async () => {
    const hanging = await instance('hanging', () => {})
    const startedMs = performance.now()
    const error = await clientOf([hanging])
      .request({ ...get, method: 'POST', deadlineMs: 200 })
      .catch((reason) => reason)
    expect(error).toMatchObject({ reason: 'timed-out', kind: 'timed-out', wasSent: true, service: 'catalog' })
    expect(performance.now() - startedMs).toBeLessThan(400)
    await vi.waitFor(() => expect(hanging.aborted).toBe(1))
  })

  test('a request that waits for a connection was not sent, neither then nor later', async () => {
    const release = Promise.withResolvers<void>()
    const busy = await instance('busy', async (_, response) => {
      await release.promise
      response.end()
    })
    const client = clientOf([busy], { connectionCount: 1 })
    const first = client.request(get)
    const second = client.request({ ...get, method: 'POST', deadlineMs: 100 })
    await expect(second).rejects.toMatchObject({ reason: 'timed-out', wasSent: false })
    release.resolve()
    await first
    await client.request(get) // behind the abandoned one in the queue
    expect(busy.served).toBe(2)
  })

  test('a process that was busy for longer than an attempt may take still takes the answer that has arrived', async () => {
    const client = clientOf([await childInstance('other-process', 100)], { attempts: 1 })
    await client.request(get) // opens the connection
    const answer = client.request({ ...get, deadlineMs: 1_000 })
    await elapse(20) // on its way
    await new Promise(setImmediate) // timers come next, and sockets after them
    const endMs = performance.now() + 1_200
    while (performance.now() < endMs);
    expect(await answer).toMatchObject({ status: 200, attemptCount: 1 })
  })

  test('includes a body that trickles', async () => {
    const trickling = await instance('trickling', (_, response) => {
      const timer = setInterval(() => response.write('.'), 20)
      response.once('close', () => clearInterval(timer))
    })
    await expect(clientOf([trickling]).request({ ...get, deadlineMs: 150 })).rejects.toMatchObject({
      reason: 'timed-out',
    })
  })

  test('a caller who gives up gets its own reason, and the instance hears of it', async () => {
    const hanging = await instance('hanging', () => {})
    const client = clientOf([hanging])
    const caller = new AbortController()
    const request = client.request({ ...get, signal: caller.signal })
    const settled = expect(request).rejects.toThrow('the shopper left')
    await vi.waitFor(() => expect(hanging.served).toBe(1))
    caller.abort(new Error('the shopper left'))
    await settled
    await vi.waitFor(() => expect(hanging.aborted).toBe(1))
    expect(client.inspect('catalog')[0]).toMatchObject({ inFlightCount: 0, isEjected: false })
  })
})

describe('streams', () => {
  test('server-sent events arrive as they are sent, long after the deadline', async () => {
    const events = await instance('events', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      let sent = 0
      const timer = setInterval(() => {
        response.write(`data: ${++sent}\n\n`)
        if (sent === 5) response.end()
      }, 300)
      response.once('close', () => clearInterval(timer))
    })
    const client = clientOf([events])
    const answer = await client.request({ ...get, stream: true, deadlineMs: 1_000 })
    expect(answer.headers['content-type']).toBe('text/event-stream')
    expect(client.inspect('catalog', 'streams')[0]?.inFlightCount).toBe(1)
    expect(client.inspect('catalog')[0]?.inFlightCount).toBe(0)
    const seen: string[] = []
    for await (const chunk of answer.body) seen.push(String(chunk).trim())
    expect(seen).toEqual(['data: 1', 'data: 2', 'data: 3', 'data: 4', 'data: 5'])
    await vi.waitFor(() => expect(client.inspect('catalog', 'streams')[0]?.inFlightCount).toBe(0))
  })

  test('a slow reader holds the sender back', async () => {
    let written = 0
    function* chunks() {
      for (; written < 200; written++) yield Buffer.alloc(1 << 20)
    }
    const generous = await instance('generous', (_, response) => Readable.from(chunks()).pipe(response))
    const answer = await clientOf([generous]).request({ ...get, stream: true })
    await elapse(300)
    expect(written).toBeLessThan(60)
    let read = 0
    for await (const part of answer.body) read += part.length
    expect(read).toBe(200 << 20)
  })

  test("a reader who goes away ends the exchange, as does the caller's signal", async () => {
    const endless = await instance('endless', (_, response) => {
      const timer = setInterval(() => response.write('tick\n'), 5)
      response.once('close', () => clearInterval(timer))
    })
    const client = clientOf([endless])
    const first = await client.request({ ...get, stream: true })
    first.body.destroy()
    await vi.waitFor(() => expect(endless.aborted).toBe(1))

    const caller = new AbortController()
    const second = await client.request({ ...get, stream: true, signal: caller.signal })
    const failed = once(second.body, 'error')
    caller.abort()
    expect((await failed)[0]).toMatchObject({ name: 'AbortError' })
    await vi.waitFor(() => expect(endless.aborted).toBe(2))
    expect(client.inspect('catalog', 'streams')[0]?.inFlightCount).toBe(0)
  })

  test("an instance that dies in the middle of the body is the reader's error, without a second attempt", async () => {
    const dying = await instance('dying', (_, response) => {
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    })
    const answer = await clientOf([dying]).request({ ...get, stream: true })
    await expect(text(answer.body)).rejects.toThrow()
    expect(dying.served).toBe(1)
  })

  test('a 503 before the stream is tried elsewhere', async () => {
    const sick = await instance('sick', (_, response) => response.writeHead(503).end('no'))
    const well = await instance('well')
    const client = clientOf([sick, well], { balancer: { policy: 'round-robin' } })
    for (let call = 0; call < 2; call++) {
      const answer = await client.request({ ...get, stream: true })
      expect([answer.status, await text(answer.body)]).toEqual([200, 'well'])
    }
    const alone = await clientOf([sick]).request({ ...get, stream: true })
    expect([alone.status, await text(alone.body)]).toEqual([503, 'no'])
    await vi.waitFor(() =>
      expect(client.inspect('catalog', 'streams').map(({ inFlightCount }) => inFlightCount)).toEqual([0, 0]),
    )
  })

  test('streams take no connection from ordinary calls', async () => {
    const one = await instance('one', (request, response) => {
      if (request.url === '/endless') response.write('first')
      else response.end('done')
    })
    const client = clientOf([one], { connectionCount: 1 })
    const endless = await Promise.all([1, 2, 3].map(() => client.request({ ...get, path: '/endless', stream: true })))
    expect((await client.request({ ...get, deadlineMs: 5_000 })).body.toString()).toBe('done')
    for (const { body } of endless) body.destroy()
  })

  test('a body that streams for longer than the deadline is sent whole, and one of which nothing leaves any more is given up', async () => {
    const reading = await instance('reading', async (request, response) => response.end(await buffer(request)))
    const pieces = async function* () {
      for (let i = 0; i < 12; i++) {
        yield 'piece '
        await elapse(100)
      }
    }
    const body = () => Readable.from(pieces())
    const slow = await clientOf([reading]).request({ ...get, method: 'POST', body: body(), deadlineMs: 1_000 })
    expect(slow.body.toString()).toBe('piece '.repeat(12))

    const deaf = await instance('deaf', () => {})
    const endless = new Readable({ read: () => endless.push(Buffer.alloc(65_536)) })
    const startedMs = performance.now()
    const given = clientOf([deaf]).request({ ...get, method: 'POST', body: endless, deadlineMs: 200 })
    await expect(given).rejects.toMatchObject({ reason: 'timed-out', wasSent: true })
    expect(performance.now() - startedMs).toBeGreaterThan(199)
    expect(endless.destroyed).toBe(true)
  })

  test('with `large`, small answers are whole and others stream', async () => {
    const sized = await instance('sized', (request, response) => {
      if (request.url === '/small') response.end('small')
      else if (request.url === '/large') response.end(Buffer.alloc(3_000_000))
      else response.write('unknown', () => response.end())
    })
    const client = clientOf([sized])
    const bodyOf = async (path: string) => (await client.request({ ...get, path, stream: 'large' })).body
    expect(await bodyOf('/small')).toEqual(Buffer.from('small'))
    const large = await bodyOf('/large')
    expect(large).toBeInstanceOf(Readable)
    expect((await buffer(large as Readable)).length).toBe(3_000_000)
    const unknown = await bodyOf('/unknown')
    expect(unknown).toBeInstanceOf(Readable)
    expect(await text(unknown as Readable)).toBe('unknown')
  })
})

/** In a process of its own. */
async function childInstance(id: string, answerAfterMs = 2): Promise<Instance & { child: ChildProcess }> {
  const source = `
    const server = require('node:http').createServer((_, response) => setTimeout(() => response.end('ok'), ${answerAfterMs}))
    server.listen(0, '127.0.0.1', () => process.send(server.address().port))
    process.on('disconnect', () => process.exit())`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  cleanups.push(() => child.kill('SIGKILL'))
  const [port] = await once(child, 'message')
  return { id, service: 'catalog', host: '127.0.0.1', port, startedAtMs: 1, child }
}

describe('a process that is killed', () => {
  test('costs no idempotent request, and is not asked again after its first refusal', async () => {
    const [victim, other, third] = await Promise.all([
      childInstance('victim'),
      childInstance('other'),
      childInstance('third'),
    ])
    const client = clientOf([victim, other, third])
    const failures: unknown[] = []
    const repeated: number[] = []
    let done = false
    const caller = async () => {
      while (!done) {
        await client.request({ ...get, deadlineMs: 5_000 }).then(
          ({ attemptCount }) => attemptCount > 1 && repeated.push(performance.now()),
          (error) => failures.push(error),
        )
      }
    }
    const load = Promise.all(Array.from({ length: 8 }, caller))
    await elapse(300)
    victim.child.kill('SIGKILL')
    await once(victim.child, 'exit')
    await elapse(700)
    done = true
    await load
    expect(failures).toEqual([])
    expect(repeated.length).toBeLessThanOrEqual(8) // at most what was under way
    expect(client.inspect('catalog').find(({ id }) => id === 'victim')?.isEjected).toBe(true)
  })
})
