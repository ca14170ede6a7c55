import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer, type Server } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createHealth } from '../process/health.ts'
import { openInternalPort } from '../process/internal-port.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { answersAsItself } from './instance-check.ts'

const record = (internalPort: number | undefined, id = 'catalog-1') => ({
  id,
  service: 'catalog',
  host: '127.0.0.1',
  port: 1,
  internalPort,
  startedAtMs: 1,
})
const ask = (internalPort: number | undefined, id?: string) =>
  answersAsItself(record(internalPort, id), AbortSignal.timeout(500))

async function instance() {
  const health = createHealth()
  const metrics = createMetrics({ service: 'catalog', instanceId: 'catalog-1' })
  const internal = await openInternalPort({ host: '127.0.0.1', port: 0, instanceId: 'catalog-1', metrics, health })
  return { ...internal, health }
}

async function listener(onConnection: Parameters<typeof createTcpServer>[1]) {
  const server: Server = createTcpServer(onConnection).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('an instance is there until it begins to stop', async () => {
  const { port, health, close } = await instance()
  expect(await ask(port)).toBe(true)
  health.stop()
  expect(await ask(port)).toBe(false)
  await close()
  expect(await ask(port)).toBe(false)
})

test('another instance at its address is not it', async () => {
  const { port, close } = await instance()
  onTestFinished(close)
  expect(await ask(port, 'catalog-2')).toBe(false)
})

test('silence, nonsense, a cut connection and a record without a port are unclear', async () => {
  const open = new Set<{ destroy(): unknown }>()
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
  })
  const silent = await listener((socket) => open.add(socket))
  const cut = await listener((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const nonsense = await listener((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno'))
  for (const port of [silent, cut, nonsense, undefined]) await expect(ask(port)).rejects.toThrow()
})

test('an answer without end is unclear after a few KiB, and its connection is closed', async () => {
  const closed = Promise.withResolvers<void>()
  const port = await listener((socket) => {
    const piece = `400\r\n${' '.repeat(1024)}\r\n`
    const send = () => {
      while (socket.writable && socket.write(piece));
    }
    socket.on('error', () => {})
    socket.on('drain', send)
    socket.on('close', () => closed.resolve())
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      send()
    })
  })
  const never = new AbortController().signal
  await expect(answersAsItself(record(port), never)).rejects.toThrow('more than 4096 bytes')
  await closed.promise
})
