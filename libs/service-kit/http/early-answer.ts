/**
 * Answers that are ready before the whole body has come: a refusal, mostly. Node closes such a connection at once; the rest of the body
 * then meets a closed socket, which resets the connection and can take the answer with it. Here the answer is sent with the end of our
 * side, and what the client still sends is thrown away for `lingerMs`: the lingering close of nginx and Apache.
 *
 * Also `Expect: 100-continue`: a client that waits for it is told to go on when the body is about to be read, and not before.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { rawProblem } from './problem.ts'

export function answerEarly(server: FastifyInstance, lingerMs: number): void {
  const http = server.server as HttpServer
  http.prependListener('request', (request, response) => {
    responses.set(request.socket, response)
    if (hasBody(request)) lingerAfter(request, response, lingerMs)
  })
  http.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // Without a 100 the client may leave the body out, so whatever came next on this connection could not be told from it.
    response.setHeader('connection', 'close')
    http.emit('request', request, response)
  })
  http.on('checkExpectation', ({ socket }: IncomingMessage) => {
    refuseConnection({ code: 'EXPECTATION_FAILED' }, socket, lingerMs)
  })
  // A server that closes waits for its connections, and has nothing more to say on these.
  server.addHook('preClose', async () => {
    for (const socket of lingering) socket.destroy()
  })
  server.addHook('preParsing', ({ raw, routeOptions }, reply, _payload, done) => {
    const isAwaited =
      raw.headers.expect !== undefined && !(Number(raw.headers['content-length']) > routeOptions.bodyLimit)
    if (isAwaited) {
      reply.raw.removeHeader('connection')
      reply.raw.writeContinue()
    }
    done()
  })
}

/** For a connection on which no request can be understood any more: one answer, if none is under way, and the end. */
export function refuseConnection(error: { code?: string }, socket: Duplex, lingerMs: number): void {
  if (socket.destroyed || socket.writableEnded) return
  if (error.code === 'ECONNRESET' || !socket.writable || hasAnswerUnderWay(socket)) {
    socket.destroy()
    return
  }
  socket.end(rawProblem(error))
  destroyLater(socket, lingerMs)
}

/** The last answer of each connection. */
const responses = new WeakMap<Duplex, ServerResponse>()

/** Another answer would damage one that has begun, and would be a second one for a request that is not complete. */
function hasAnswerUnderWay(socket: Duplex): boolean {
  const response = responses.get(socket)
  return response?.headersSent === true && !(response.writableFinished && response.req.complete)
}

export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function lingerAfter(request: IncomingMessage, response: ServerResponse, lingerMs: number) {
  const { socket } = request
  const closeAtOnce = socket.destroySoon
  // Node calls this after the last answer of a connection. An own property hides the method until the body is complete.
  socket.destroySoon = () => {
    if (request.complete || socket.destroyed) closeAtOnce.call(socket)
    else socket.end()
  }
  response.once('finish', () => {
    if (request.complete) return settle()
    request.unpipe()
    request.resume()
    const keep = destroyLater(socket, lingerMs)
    request.once('end', () => {
      keep()
      settle()
      if (socket.writableEnded) socket.destroy()
    })
  })

  function settle() {
    socket.destroySoon = closeAtOnce
  }
}

/** Of all servers of this process: there is one, except in tests. */
const lingering = new Set<Duplex>()

/** At the end of the client's side, too. Returns how to keep the socket after all. */
function destroyLater(socket: Duplex, lingerMs: number): () => void {
  lingering.add(socket)
  const destroy = () => void socket.destroy()
  const timer = setTimeout(destroy, lingerMs)
  socket.once('end', destroy).once('close', keep)
  return keep

  function keep() {
    lingering.delete(socket)
    clearTimeout(timer)
    socket.off('end', destroy).off('close', keep)
  }
}
