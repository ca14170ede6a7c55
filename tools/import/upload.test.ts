import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { upload } from './upload.ts'

test('a connection ends with the answer, although the end of the file has not been seen yet', {
  timeout: 10_000,
}, async () => {
  const shop = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    request.once('data', () => response.end('{"lineCount":1}'))
  })
  onTestFinished(() => void shop.close())
  await once(shop.listen(0, '127.0.0.1'), 'listening')
  const closed = new Promise((resolve) => shop.once('connection', (socket) => socket.once('close', resolve)))
  // All its bytes are there, and its end is not: what a busy machine makes of any file.
  const file = new Readable({ read() {} })
  file.push('{"sku":"TEA-1"}')
  const url = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`
  const report = await upload(
    { url, cookie: '' },
    { contentType: 'application/x-ndjson', file, size: 15, onPiece: () => {} },
  )
  expect(report).toEqual({ lineCount: 1 })
  await closed
})
