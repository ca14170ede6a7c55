/**
 * The services, one entry each. The demo, the secrets and environments of the containers, the Redis users, the gateway's types and most
 * tests are made from this list. What cannot be made from it is named by tools/services.test.ts when an entry lacks it.
 *
 * Not here: topics and their readers (topics.ts), keys (apps/<service>/keys.ts), public routes (apps/gateway/routes.ts).
 */

export interface ServiceDeclaration {
  /** Processes of the demo, and containers of docker-compose.yml. Two where replicas could disturb each other. */
  instances: number
  /** A database and its role, both named like the service. The tables are in apps/<service>/prisma. */
  hasDatabase: boolean
  /** The Redis servers that it logs in to. All use `state`, where they register themselves. */
  redis: readonly ('state' | 'cache')[]
  /** The one service whose port is published. It signs the identity of callers; the others verify it. */
  isPublic: boolean
}

/** In the order of their start: the public service comes last, and stops first. */
export const services = {
  catalog: { instances: 2, hasDatabase: true, redis: ['state', 'cache'], isPublic: false },
  user: { instances: 1, hasDatabase: true, redis: ['state'], isPublic: false },
  order: { instances: 2, hasDatabase: true, redis: ['state'], isPublic: false },
  gateway: { instances: 1, hasDatabase: false, redis: ['state', 'cache'], isPublic: true },
} as const satisfies Record<string, ServiceDeclaration>

type Services = typeof services
type NamesWith<Fact> = { [Name in keyof Services]: Services[Name] extends Fact ? Name : never }[keyof Services]

export type ServiceName = keyof Services
/** Services that the gateway sends requests to. */
export type InternalServiceName = NamesWith<{ isPublic: false }>
export type DatabaseName = NamesWith<{ hasDatabase: true }>

export const serviceNames = Object.keys(services) as ServiceName[]
export const databaseNames = serviceNames.filter((name): name is DatabaseName => services[name].hasDatabase)
