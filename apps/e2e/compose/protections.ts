/** What each container must be protected by, as checks of `docker inspect` data: one sentence per breach, none when all is well. */
import { type Container, serviceOf } from './docker.ts'

/** The networks of each service, as docker-compose.yml means them. `edge` is the only one with a way out. */
const networks: Readonly<Record<string, readonly string[]>> = {
  gateway: ['data', 'edge', 'services'],
  catalog: ['data', 'services'],
  user: ['data', 'services'],
  order: ['data', 'services'],
  'redis-cache': ['data'],
  'redis-state': ['data'],
  postgres: ['data'],
}
const publicService = 'gateway'

export function portBreaches(containers: readonly Container[]): string[] {
  return containers.flatMap((container) => {
    const service = serviceOf(container)
    const published = Object.entries(container.NetworkSettings.Ports).filter(([, bindings]) => bindings?.length)
    return published.flatMap(([port]) =>
      service === publicService && port === '3000/tcp' ? [] : [`${service} publishes ${port}`],
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

export function networkBreaches(containers: readonly Container[], project: string): string[] {
  return containers.flatMap((container) => {
    const service = serviceOf(container)
    const actual = Object.keys(container.NetworkSettings.Networks).map((name) => name.replace(`${project}_`, ''))
    const expected = networks[service] ?? []
    return actual.sort().join() === expected.join() ? [] : [`${service} is on ${actual.join(', ')}`]
  })
}

function isSecret(variable: string): boolean {
  const [name = '', value = ''] = variable.split(/=(.*)/s)
  return (/PASSWORD|SECRET|TOKEN|PRIVATE_KEY/.test(name) && !name.endsWith('_FILE')) || /:\/\/[^/]*:[^/]*@/.test(value)
}
