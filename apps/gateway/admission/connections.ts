/** How many connections one address may hold open. One more is closed before anything that it sends is read. */
import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import { createSlots } from '@shop/redis-kit/flow/slots'
import { addressGroup, bareAddress, type TrustProxy } from '../address.ts'
import type { Tally } from './tally.ts'

export interface ConnectionLimit {
  maxCountPerAddress: () => number
  /** A proxy that is trusted carries the connections of many clients, and has no limit. */
  trustProxy: TrustProxy
  tally: Tally
}

/** Counts the connections of the port. The address is that of the peer: no header is read, so none can evade this. */
export function limitConnections(http: HttpServer, { maxCountPerAddress, trustProxy, tally }: ConnectionLimit): void {
  const slots = createSlots(maxCountPerAddress)
  http.prependListener('connection', (socket: Socket) => {
    const peer = bareAddress(socket.remoteAddress)
    // Without an address the peer has already left.
    if (peer === undefined || trustProxy(peer, 0)) return
    const leave = slots.take(addressGroup(peer))
    if (leave) {
      socket.once('close', leave)
      return
    }
    tally.count('connections', 'address')
    socket.destroy()
  })
}
