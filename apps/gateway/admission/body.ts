/** How large the body of a request may be: as the bulkhead of its class says, and checked as the body comes. */
import { type Readable, Transform } from 'node:stream'
import type { Server } from '@shop/service-kit/http/server'
import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The largest body of this request. */
    bodyMaxBytes: number
  }
}

/** Throws for a body that says that it is too large. One that does not exist is not read, so its size is no reason. */
export function requireBodyFits({ headers, bodyMaxBytes, is404 }: FastifyRequest) {
  if (!is404 && Number(headers['content-length']) > bodyMaxBytes) throw errors.bodyTooLarge(bodyMaxBytes)
}

/**
 * Counts bodies that come in chunks; one that says how long it is cannot become longer, Node's parser sees to it. Routes that pass
 * their body on count it themselves, and a body of GET or HEAD is not read.
 */
export function countChunks(server: Server) {
  server.decorateRequest('bodyMaxBytes', 0)
  server.addHook('preParsing', (request, _reply, payload, done) => {
    done(null, isCounted(request) ? counted(payload, request.bodyMaxBytes) : payload)
  })
}

function isCounted({ method, headers, routeOptions, is404 }: FastifyRequest): boolean {
  const isRead = method !== 'GET' && method !== 'HEAD' && !is404 && !routeOptions.config.streamsBody
  return isRead && headers['transfer-encoding'] !== undefined
}

/** The body, which ends with an error when it is too large or when the client leaves. The connection stays open for the answer. */
function counted(payload: Readable, maxBytes: number): Transform {
  let byteCount = 0
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      byteCount += chunk.length
      if (byteCount > maxBytes) done(errors.bodyTooLarge(maxBytes))
      else done(null, chunk)
    },
  })
  body.on('error', () => {}) // the reader has its own; without one the process would end
  payload.once('error', (error) => body.destroy(error))
  return payload.pipe(body)
}
