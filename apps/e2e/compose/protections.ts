/** What each container must be protected by, as checks of `docker inspect` data: one sentence per breach, none when all is well. */
import { type ServiceDeclaration, services } from '@shop/contracts/services'
import { type Container, serviceOf } from './docker.ts'

type Services = Readonly<Record<string, Pick<ServiceDeclaration, 'isPublic'>>>

const declared: Services = services
const servers = ['redis-cache', 'redis-state', 'postgres']

export function portBreaches(containers: readonly Container[]): string[] {
  return containers.flatMap((container) => {
    const service = serviceOf(container)
    const published = Object.entries(container.NetworkSettings.Ports).filter(([, bindings]) => bindings?.length)
    return published.flatMap(([port]) =>
      declared[service]?.isPublic && port === '3000/tcp' ? [] : [`${service} publishes ${port}`],
    )
  })
}

export function hardeningBreaches(containers: readonly Container[]): string[] {
  return containers.flatMap((container) => {
    const { Config: config, HostConfig: host, Mounts: mounts } = container
    const rules: [isBroken: boolean, what: string][] = [
      [/^(0|root)?(:|$)/.test(config.User), 'runs as root'],
      [!host.ReadonlyRootfs, 'may write to its root file system'],
      [host.Privileged, 'is privileged'],
      [!host.CapDrop?.includes('ALL') || Boolean(host.CapAdd?.length), 'keeps capabilities'],
      [!host.SecurityOpt?.some((one) => one.startsWith('no-new-privileges')), 'may gain privileges'],
      [!(host.Memory > 0), 'has no limit of memory'],
      [!((host.PidsLimit ?? 0) > 0), 'has no limit of processes'],
      [host.NetworkMode === 'host', 'shares the network of the host'],
      [mounts.some(({ Source }) => Source.endsWith('docker.sock')), 'controls the engine'],
      [mounts.some(({ Type, RW }) => Type === 'bind' && RW), 'may write to the host'],
      [config.Env.some(isSecret), 'has a secret in its environment'],
    ]
    return rules.filter(([isBroken]) => isBroken).map(([, what]) => `${serviceOf(container)} ${what}`)
  })
}

/** `edge` is the only network with a way out. A container that is neither a service nor a server may be on none. */
export function networkBreaches(containers: readonly Container[], project: string, list = declared): string[] {
  return containers.flatMap((container) => {
    const service = serviceOf(container)
    const actual = Object.keys(container.NetworkSettings.Networks).map((name) => name.replace(`${project}_`, ''))
    const expected = networksOf(service, list)
    return actual.sort().join() === expected.join() ? [] : [`${service} is on ${actual.join(', ')}`]
  })
}

/** Sorted by name. */
function networksOf(container: string, list: Services): string[] {
  if (servers.includes(container)) return ['data']
  const service = list[container]
  if (!service) return []
  return service.isPublic ? ['data', 'edge', 'services'] : ['data', 'services']
}

function isSecret(variable: string): boolean {
  const [name = '', value = ''] = variable.split(/=(.*)/s)
  return (/PASSWORD|SECRET|TOKEN|PRIVATE_KEY/.test(name) && !name.endsWith('_FILE')) || /:\/\/[^/]*:[^/]*@/.test(value)
}
