/** For a program that breaks the shop on purpose: a user with all rights in Redis, and a place between the services and the servers. */

export type ServerName = 'postgres' | 'redis-cache' | 'redis-state'

export interface Harness {
  /** Password of the Redis user `operator`, who exists for a harness only and may do everything. */
  operatorPassword: string
  /** Called once per server with its port. Resolves to the port by which the services reach it. */
  between(server: ServerName, port: number): Promise<number>
}

export const operatorName = 'operator'

/** A line for the end of an ACL file. */
export function operatorUser({ operatorPassword }: Harness): string {
  return `user ${operatorName} on >${operatorPassword} allkeys allchannels allcommands\n`
}

/** The same URL by way of another port of this machine. */
export function withPort(url: string, port: number): string {
  return Object.assign(new URL(url), { port: String(port) }).href
}
