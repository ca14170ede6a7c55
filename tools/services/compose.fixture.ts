/** What docker-compose.yml says of a service, compared with its entry in the list; and the example for development in containers. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { ServiceDeclaration } from '@shop/contracts/services'
import { parse } from 'yaml'

interface Compose {
  'x-service': Record<string, unknown>
  services: Record<string, Record<string, unknown> | undefined>
}

const compose = 'docker-compose.yml'
const example = 'infra/docker-compose.override.example.yml'

/** @param internal the names of all services that the public one sends requests to */
export function missingInCompose(
  root: string,
  name: string,
  entry: ServiceDeclaration,
  internal: readonly string[],
): string[] {
  const { services, 'x-service': common } = read(root, compose)
  const found = services[name]
  return [
    ...(found
      ? differences(found, { ...common, ...expected(name, entry, internal) }).map(
          ([key, value]) => `${compose}: services.${name}.${key} must be ${JSON.stringify(value)}`,
        )
      : [`${compose}: add ${name} under services`]),
    ...mountProblems(root, name),
  ]
}

/** Containers that are made like a service and are not in the list. */
export function strangersInCompose(root: string, names: readonly string[]): string[] {
  const { services } = read(root, compose)
  return Object.entries(services)
    .filter(([name, service]) => targetOf(service) === 'service' && !names.includes(name))
    .map(([name]) => `libs/contracts/services.ts: declare ${name}, or remove it from ${compose}`)
}

/** `undefined`: absent. The secrets are in the mounted folder, the healthcheck is in the image. */
function expected(name: string, { instances, isPublic }: ServiceDeclaration, internal: readonly string[]) {
  const healthy = internal.map((service) => [service, { condition: 'service_healthy' }])
  const isThere = {
    'redis-cache': { condition: 'service_healthy' },
    'redis-users': { condition: 'service_completed_successfully' },
    seed: { condition: 'service_completed_successfully' },
  }
  return {
    image: `redis-shop/${name}`,
    build: { context: '.', dockerfile: 'infra/Dockerfile', target: 'service', args: { APP: name } },
    deploy: instances === 1 ? undefined : { replicas: instances },
    ...(isPublic ? {} : { environment: undefined, ports: undefined }),
    networks: [...(isPublic ? ['edge'] : []), 'services', 'data'],
    volumes: [{ type: 'volume', source: 'secrets', target: '/run/shop', read_only: true, volume: { subpath: name } }],
    healthcheck: undefined,
    depends_on: isPublic ? Object.fromEntries(healthy) : isThere,
  }
}

function differences(found: Record<string, unknown>, wanted: Record<string, unknown>): [string, unknown][] {
  return Object.entries(wanted)
    .filter(([key, value]) => !isDeepStrictEqual(found[key], value))
    .map(([key, value]) => [key, value ?? 'absent'])
}

function mountProblems(root: string, name: string): string[] {
  const { volumes = [] } = read(root, example).services[name] ?? {}
  const mounts = (volumes as { source: string; target: string }[]).map(({ source, target }) => `${source} ${target}`)
  const isMounted = mounts.includes(`./apps/${name} /shop/apps/${name}`) && mounts.includes('./libs /shop/libs')
  return isMounted ? [] : [`${example}: mount ./apps/${name} and the libraries for ${name}`]
}

function targetOf(service: Record<string, unknown> | undefined): string | undefined {
  return (service?.build as { target?: string } | undefined)?.target
}

function read(root: string, file: string): Compose {
  return parse(readFileSync(join(root, file), 'utf8'), { merge: true })
}
