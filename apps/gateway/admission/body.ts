/** How large the body of a request may be: as the bulkhead of its class says, and checked as the body comes. */
import { Transform } from 'node:stream'
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
 * their body on count it themselves.
 */
export function countChunks(server: Server) {
  server.decorateRequest('bodyMaxBytes', 0)
  server.addHook('preParsing', ({ headers, bodyMaxBytes, routeOptions, is404 }, _reply, payload, done) => {
    const isCounted = headers['transfer-encoding'] !== undefined && !is404 && !routeOptions.config.streamsBody
    done(null, isCounted ? payload.pipe(counted(bodyMaxBytes)) : payload)
  })
}

function counted(maxBytes: number): Transform {
  let byteCount = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      byteCount += chunk.length
      if (byteCount > maxBytes) done(errors.bodyTooLarge(maxBytes))
      else done(null, chunk)
    },
  })
}
