/** What each service is told through its environment, and nothing more than it needs. */
import { services } from '@shop/contracts/services'
import { serviceEnvironment } from '@shop/service-kit/process/environment'
import type { StackOptions } from '../options.ts'
import type { Secrets } from '../secrets.ts'
import type { Databases } from '../servers/databases.ts'
import type { Instance } from './instances.ts'

export interface EnvironmentSource {
  options: StackOptions
  /** Of the gateway. */
  port: number
  secrets: Secrets
  databases: Databases
}

/** Of one instance; what `--env` says comes last. */
export function environmentOf(instance: Instance, source: EnvironmentSource): Record<string, string> {
  return { ...passedOn(), ...given(instance, source), ...asked(instance, source.options) }
}

function given({ app }: Instance, { port, options, secrets, databases: { urls, redisUrl } }: EnvironmentSource) {
  const { identityPrivateKey: privateKey, identityPublicKey: publicKey } = secrets
  const databaseUrl = (name: string) => urls[name as keyof typeof urls]
  const variables = serviceEnvironment(app, { redisUrl, databaseUrl, identity: { privateKey, publicKey } })
  return services[app].isPublic ? { ...variables, HOST: options.host ?? '127.0.0.1', PORT: String(port) } : variables
}

/** An inspector in NODE_OPTIONS is for the tool itself: all services would ask for its one port. */
const inspectorFlag = /(?:^|\s)--inspect(?:-\S+)?(?:=\S*)?(?=\s|$)/g

function passedOn(): Record<string, string> {
  const { LOG_LEVEL, NODE_OPTIONS } = process.env
  const nodeOptions = NODE_OPTIONS?.replaceAll(inspectorFlag, '').trim()
  return { ...(LOG_LEVEL && { LOG_LEVEL }), ...(nodeOptions && { NODE_OPTIONS: nodeOptions }) }
}

/** What is said for an instance wins over what is said for its service, and that over what is said for all. */
function asked({ name, app }: Instance, { env = [] }: StackOptions): Record<string, string> {
  const scopes = [undefined, app, name].filter((scope, index, all) => all.indexOf(scope) === index)
  return Object.fromEntries(
    scopes.flatMap((scope) =>
      env.filter(({ service }) => service === scope).map((variable) => [variable.name, variable.value]),
    ),
  )
}
