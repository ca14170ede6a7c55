/**
 * How many requests may be under way at once: of a class of routes, so that what hangs leaves the rest of the shop alone, and of one
 * address, so that no client takes all places. Counted in this process; a place is held until the answer has ended.
 */
import type { ServerResponse } from 'node:http'
import { createSlots } from '@shop/redis-kit/flow/slots'
import { type Bulkhead, bulkheadOf, type PolicyStore, type PolicyTable } from '../limits/policy.ts'
import { perRouteClass, type RouteClass } from '../routes.ts'

/** The place that is missing: one of the class, or one of the address. */
export type Shortage = 'bulkhead' | 'bulkhead-address'

export interface Bulkheads {
  /** The compartment of a class of routes. */
  of(routeClass: RouteClass): Compartment
}

export interface Compartment {
  /** The classes that share it. */
  name: string
  bodyMaxBytes(): number
  /** Takes a place until the answer has ended, however it ends. */
  enter(address: string, response: ServerResponse): Shortage | undefined
}

export function createBulkheads(store: Pick<PolicyStore, 'current' | 'onChange'>): Bulkheads {
  let compartments = new Map<string, ReturnType<typeof createCompartment>>()
  let ofClasses = assign(store.current())
  store.onChange((table) => {
    ofClasses = assign(table)
  })
  return { of: (routeClass) => ofClasses[routeClass] }

  /** A compartment whose classes stay the same keeps its requests. */
  function assign(table: PolicyTable): Record<RouteClass, Compartment> {
    const previous = compartments
    compartments = new Map()
    return perRouteClass((routeClass) => {
      const bulkhead = bulkheadOf(table, routeClass)
      const name = bulkhead.routes === 'all' ? 'all' : bulkhead.routes.join(' ')
      const known = compartments.get(name) ?? previous.get(name) ?? createCompartment(name, bulkhead)
      known.change(bulkhead)
      compartments.set(name, known)
      return known.compartment
    })
  }
}

function createCompartment(name: string, first: Bulkhead) {
  let bulkhead = first
  const running = createSlots(() => bulkhead.maxConcurrent)
  const ofAddresses = createSlots(() => bulkhead.maxConcurrentPerAddress)
  const compartment: Compartment = { name, bodyMaxBytes: () => bulkhead.bodyMaxBytes, enter }
  return { compartment, change }

  function change(next: Bulkhead) {
    bulkhead = next
  }

  /** The address first: one that has too many under way is told so, and takes no place from the others. */
  function enter(address: string, response: ServerResponse): Shortage | undefined {
    const leaveAddress = ofAddresses.take(address)
    if (!leaveAddress) return 'bulkhead-address'
    const leave = running.take(name)
    if (!leave) {
      leaveAddress()
      return 'bulkhead'
    }
    response.once('close', () => {
      leave()
      leaveAddress()
    })
    return undefined
  }
}
