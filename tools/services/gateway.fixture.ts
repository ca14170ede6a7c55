/** The routes of the services and those of the gateway, compared in both directions; and the sections of /docs. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Gateway {
  routes: readonly { methods: readonly string[]; path: string; service: string }[]
  internalPaths: readonly string[]
  sectionOf(path: string, operation: object): string
}

interface Served {
  method: string
  path: string
  file: string
}

const routesFile = 'apps/gateway/routes.ts'
/** With or without a type argument: `.get<{ Querystring: Page }>('/api/…'`. */
const declared = /\.(get|post|put|patch|delete)(?:<[^(]*>)?\(\s*'(\/api\/[^']+)'/g

export async function missingInGateway(root: string, name: string): Promise<string[]> {
  const { routes, internalPaths, sectionOf } = await readGateway(root)
  const served = servedBy(root, name)
  const passed = routes
    .filter(({ service }) => service === name)
    .flatMap(({ methods, path }) => methods.map((method) => ({ method, path })))
  if (passed.length === 0) return [`${routesFile}: add the routes of ${name}`]
  const fits = (one: Omit<Served, 'file'>, pattern: Omit<Served, 'file'>) =>
    one.method === pattern.method && isLike(one.path, pattern.path)
  const unreachable = served.filter((one) => !internalPaths.includes(one.path) && !passed.some((to) => fits(one, to)))
  const unanswered = passed.filter((to) => !served.some((one) => fits(one, to)))
  // The section of paths that have none, and of these.
  const fallback = sectionOf('/nowhere', {})
  const isForAdministrators = (path: string) => /^\/api\/(?:api-keys|console)(?:\/|$)/.test(path)
  const unsorted = passed.filter(({ path }) => sectionOf(path, {}) === fallback && !isForAdministrators(path))
  return [
    ...unreachable.map(({ method, path, file }) => `${routesFile}: add ${method} ${path}, which ${file} serves`),
    ...unanswered.map(({ method, path }) => `apps/${name}: serve ${method} ${path}, which ${routesFile} passes on`),
    ...[...new Set(unsorted.map(({ path }) => path))].map(
      (path) => `apps/gateway/docs/sections.ts: add the prefix of ${path} to a section`,
    ),
  ]
}

/** Files of another project are read as files: nothing imports an app. */
async function readGateway(root: string): Promise<Gateway> {
  const files = ['routes.ts', 'docs/sections.ts'].map((file) => import(join(root, 'apps/gateway', file)))
  return Object.assign({}, ...(await Promise.all(files)))
}

function servedBy(root: string, name: string): Served[] {
  const files = globSync(`apps/${name}/**/routes.ts`, { cwd: root })
  return files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(declared)].map(([, method = '', path = '']) => ({
      method: method.toUpperCase(),
      path,
      file,
    })),
  )
}

/** `:x` in the pattern stands for any one segment. */
function isLike(path: string, pattern: string): boolean {
  const [segments, wanted] = [path.split('/'), pattern.split('/')]
  return (
    segments.length === wanted.length && wanted.every((one, index) => one.startsWith(':') || one === segments[index])
  )
}
