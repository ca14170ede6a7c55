/** The streams for the console: who is asked about which topic, and what is seen while an owner is away. */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { topics } from '@shop/contracts/topics'
import { afterAll, expect, it } from 'vitest'
import { type Answer, startGateway } from './gateway.fixture.ts'

const asked: { service: string; request: IncomingMessage }[] = []
let order: Answer = ownerOf('order')
const gateway = await startGateway(
  {},
  { order: (request, response) => order(request, response), catalog: ownerOf('catalog') },
)
afterAll(gateway.stop)

function topicsOf(wanted: string) {
  return Object.values(topics).flatMap(({ service, entity }) => (service === wanted ? [`${service}:${entity}`] : []))
}

const itemsOf = (service: string) => topicsOf(service).map((topic) => ({ topic }))

function ownerOf(service: string): Answer {
  return (request, response) => {
    asked.push({ service, request })
    const items = request.url === '/api/console/streams' ? itemsOf(service) : undefined
    response.setHeader('content-type', 'application/json').end(JSON.stringify(items ? { items } : { service }))
  }
}

const failing =
  (status: number, body: object): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body))
  }

async function ask(path = '', init: RequestInit = {}) {
  const session = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'admin' } })
  const headers = { cookie: `shop_session=${session.id}` }
  const response = await fetch(`${gateway.url}/api/console/streams${path}`, { ...init, headers })
  return { status: response.status, body: await response.json() }
}

it('the list has the topics of all owners, who hear who is asking', async () => {
  asked.length = 0
  const items = [...itemsOf('order'), ...itemsOf('catalog')]
  expect(await ask()).toEqual({ status: 200, body: { items, unavailable: [] } })
  expect(asked.map(({ service }) => service).sort()).toEqual(['catalog', 'order'])
  for (const { request } of asked) {
    expect(gateway.verify(request.headers['x-shop-identity'])).toMatchObject({ role: 'admin' })
  }
})

it('HEAD of the list is answered as GET is, without the body', async () => {
  const session = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'admin' } })
  const headers = { cookie: `shop_session=${session.id}` }
  const url = `${gateway.url}/api/console/streams`
  const [head, get] = [await fetch(url, { method: 'HEAD', headers }), await fetch(url, { headers })]
  expect(head.status).toBe(200)
  expect(head.headers.get('content-length')).toBe(String((await get.arrayBuffer()).byteLength))
})

it.each([
  ['is gone', (request: IncomingMessage) => request.socket.destroy()],
  ['has no Redis', failing(503, { code: 'dependency-unavailable' })],
  ['forgets its topics', failing(200, { items: [] })],
])('an owner that %s is named, and the others are shown', async (_, answer) => {
  order = answer as Answer
  const body = { items: itemsOf('catalog'), unavailable: [{ service: 'order', topics: topicsOf('order') }] }
  expect(await ask()).toEqual({ status: 200, body })
  order = ownerOf('order')
})

it("an owner's refusal is the answer", async () => {
  order = failing(403, { code: 'admin-only' })
  expect(await ask()).toEqual({ status: 403, body: { code: 'admin-only' } })
  order = ownerOf('order')
})

it('what is asked about a topic goes to its owner, and to nobody if it has none', async () => {
  for (const { service, entity } of Object.values(topics)) {
    expect((await ask(`/${service}:${entity}/dead?limit=5`)).body).toEqual({ service })
    expect((await ask(`/${service}%3A${entity}/dead/0.1-1/redrive`, { method: 'POST' })).body).toEqual({ service })
    expect((await ask(`/${service}:${entity}/dead/redrive`, { method: 'POST' })).body).toEqual({ service })
    expect((await ask(`/${service}:${entity}/dead/0.1-1`, { method: 'DELETE' })).body).toEqual({ service })
  }
  expect(asked.some(({ request }) => request.url === '/api/console/streams/order:events/dead?limit=5')).toBe(true)
  expect(await ask('/user:events/dead')).toMatchObject({ status: 404, body: { code: 'topic-not-found' } })
})
