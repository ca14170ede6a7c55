/** The file on its way to the shop. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { type Readable, Transform } from 'node:stream'
import type { Problem } from '@shop/contracts/problem'
import type { ImportReport } from '@shop/contracts/product'
import type { AdminSession } from '../command-line/admin-session.ts'

/** Nothing in either direction for so long: the shop is gone. */
const silenceMs = 120_000

export interface Upload {
  contentType: string
  file: Readable
  /** Bytes, when that is known. */
  size?: number
  /** Called with every piece that is sent. */
  onPiece(piece: Buffer): void
}

/**
 * By node:http and not by fetch, which gives up on an answer that takes five minutes, however busily the file is being sent. An answer may
 * come before the end of the file: then the rest is not sent.
 */
export async function upload(
  { url, cookie }: Pick<AdminSession, 'url' | 'cookie'>,
  { contentType, file, size, onPiece }: Upload,
): Promise<ImportReport> {
  const request = (url.startsWith('https:') ? requestHttps : requestHttp)(`${url}/api/products/import`, {
    method: 'POST',
    headers: { cookie, 'content-type': contentType, ...(size !== undefined && { 'content-length': size }) },
    timeout: silenceMs,
  })
  request.once('timeout', () => request.destroy(new Error('the shop went silent')))
  const count = new Transform({
    transform(piece: Buffer, _encoding, done) {
      onPiece(piece)
      done(null, piece)
    },
  })
  const answer = Promise.withResolvers<{ status: number; text: string }>()
  const broken = () => answer.reject(new Error('the connection was closed'))
  request.once('close', broken).on('error', answer.reject)
  request.once('response', (response) => {
    request.off('close', broken)
    const status = response.statusCode ?? 0
    const whole = (pieces: Buffer[]) => answer.resolve({ status, text: Buffer.concat(pieces).toString() })
    response.toArray().then(whole, answer.reject)
  })
  file.on('error', (error) => request.destroy(error))
  // Not by `pipeline`, which would end the request, and with it an answer on its way, when the shop stops reading.
  file.pipe(count).pipe(request)
  try {
    const { status, text } = await answer.promise
    if (status !== 200) throw new Error(whyNotTaken(status, text))
    return JSON.parse(text) as ImportReport
  } finally {
    file.destroy()
    // The answer may be there before the end of the file was seen. Then the request never ends, and its connection keeps the process.
    request.destroy()
  }
}

function whyNotTaken(status: number, text: string): string {
  let detail = ''
  try {
    detail = (JSON.parse(text) as Partial<Problem>).detail ?? ''
  } catch {
    // Something in between has answered, and not the shop.
  }
  return `The shop refused the file (${status}). ${detail}`.trim()
}
