/** What the folder of a service must contain: its manifest, its process, and a configuration and keys that fit its entry in the list. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceDeclaration } from '@shop/contracts/services'
import type { KeyFamily } from '@shop/redis-kit/keys'
import { describeConfig } from '@shop/service-kit/process/config'
import type { TObject } from 'typebox'
import { findPrismaFolder, readMigrations } from '../migrate/files.ts'

interface Manifest {
  name: string
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  scripts?: Record<string, string>
  nx?: { tags?: string[] }
}

/** Each missing place as `<file>: <what to add>`. */
export async function missingInFolder(root: string, name: string, entry: ServiceDeclaration): Promise<string[]> {
  const at = (file: string) => join(root, 'apps', name, file)
  const without = (file: string, add: string) => (existsSync(at(file)) ? [] : [`apps/${name}/${file}: ${add}`])
  const tests = globSync('**/*.test.ts', { cwd: at('.') })
  return [
    ...manifestProblems(root, name),
    ...lockProblems(root, name),
    ...mainProblems(at('main.ts'), name),
    ...without('app.ts', 'export buildApp, the wiring'),
    ...(await configProblems(root, name, entry)),
    ...(await keyProblems(at('keys.ts'), name, entry)),
    ...databaseProblems(root, name, entry),
    ...without('README.md', 'describe its routes, events, keys and tables'),
    ...(tests.length > 0 ? [] : [`apps/${name}/${name}.test.ts: test the service`]),
  ]
}

function manifestProblems(root: string, name: string): string[] {
  const file = `apps/${name}/package.json`
  if (!existsSync(join(root, file))) return [`${file}: add it, with the name @shop/${name}`]
  const { name: found, scripts, nx }: Manifest = readJson(root, file)
  return [
    ...(found === `@shop/${name}` ? [] : [`${file}: name it @shop/${name}`]),
    ...(scripts?.test?.includes(`--project ${name} `) ? [] : [`${file}: add the script "test" for --project ${name}`]),
    ...(nx?.tags?.includes('type:app') ? [] : [`${file}: add the tag type:app`]),
  ]
}

/** `npm ci` refuses a lockfile that does not have the package. */
function lockProblems(root: string, name: string): string[] {
  const { packages } = readJson<{ packages: Record<string, Manifest> }>(root, 'package-lock.json')
  const locked = packages[`apps/${name}`]
  if (!locked) return ['package-lock.json: run `npm install`']
  if (!existsSync(join(root, `apps/${name}/package.json`))) return []
  const { dependencies, devDependencies }: Manifest = readJson(root, `apps/${name}/package.json`)
  const isSame =
    sorted(dependencies) === sorted(locked.dependencies) && sorted(devDependencies) === sorted(locked.devDependencies)
  return isSame ? [] : ['package-lock.json: run `npm install`']
}

function mainProblems(path: string, name: string): string[] {
  const call = `name: '${name}'`
  const isThere = existsSync(path) && readFileSync(path, 'utf8').includes(call)
  return isThere ? [] : [`apps/${name}/main.ts: call runService({ ${call}, … })`]
}

async function configProblems(root: string, name: string, entry: ServiceDeclaration): Promise<string[]> {
  const path = join(root, 'apps', name, 'config.ts')
  const fragments = fragmentsOf(entry)
  const all = `commonConfig, ${Object.values(fragments).join(', ')}`
  if (!existsSync(path)) return [`apps/${name}/config.ts: export configSchema, made of ${all}`]
  const { configSchema } = (await import(path)) as { configSchema: TObject }
  const variables = describeConfig(configSchema)
  const read = variables.filter(({ required }) => required).map((variable) => variable.name)
  return [
    ...variables.flatMap((variable) => exampleProblems(root, name, variable.name)),
    ...Object.entries(fragments)
      .filter(([variable]) => !read.includes(variable))
      .map(([variable, fragment]) => `apps/${name}/config.ts: add ${fragment} for ${variable}`),
    ...read
      .filter((variable) => !(variable in fragments))
      .map((variable) => `libs/contracts/services.ts: ${name} requires ${variable}, which its entry does not give it`),
  ]
}

/** Its comment ends with the readers, if they are not all services. */
function exampleProblems(root: string, name: string, variable: string): string[] {
  const paragraphs = readFileSync(join(root, '.env.example'), 'utf8').split('\n\n')
  const found = paragraphs.find((paragraph) => new RegExp(`^#?${variable}=`, 'm').test(paragraph))
  if (found === undefined) return [`.env.example: add ${variable}`]
  const readers = /\((\w+(?:, \w+)*)\)\n/.exec(found)?.[1]?.split(', ')
  return !readers || readers.includes(name) ? [] : [`.env.example: add ${name} to the readers of ${variable}`]
}

/** Of service-kit/process/config, by the variable that is set from the entry. */
function fragmentsOf({ redis, hasDatabase, isPublic }: ServiceDeclaration): Record<string, string> {
  return {
    ...Object.fromEntries(redis.map((role) => [`REDIS_${role.toUpperCase()}_URL`, `${role}Config`])),
    ...(isPublic ? { IDENTITY_PRIVATE_KEY: 'mintIdentityConfig' } : { IDENTITY_PUBLIC_KEY: 'verifyIdentityConfig' }),
    ...(hasDatabase && { DATABASE_URL: 'databaseConfig' }),
  }
}

/** Its Redis users are made of its key families: without one on a server it has no user there. */
async function keyProblems(path: string, name: string, { redis }: ServiceDeclaration): Promise<string[]> {
  if (!existsSync(path)) return [`apps/${name}/keys.ts: export keyFamilies, all that it owns`]
  const { keyFamilies } = (await import(path)) as { keyFamilies: KeyFamily[] }
  const [first] = keyFamilies.filter(({ service }) => service !== name)
  const undeclared = keyFamilies.filter(({ role }) => !redis.includes(role)).map(({ role }) => role)
  const unused = redis.filter((role) => role !== 'state' && !keyFamilies.some((family) => family.role === role))
  return [
    ...(first === undefined
      ? []
      : [`apps/${name}/keys.ts: ${first.pattern} belongs to ${first.service}; leave it out`]),
    ...[...new Set(undeclared)].map((role) => `libs/contracts/services.ts: add '${role}' to redis of ${name}`),
    ...unused.map((role) => `apps/${name}/keys.ts: export a family of the role ${role}, or take it from its entry`),
  ]
}

function databaseProblems(root: string, name: string, { hasDatabase }: ServiceDeclaration): string[] {
  const schema = `apps/${name}/prisma/schema.prisma`
  const isThere = existsSync(join(root, schema))
  if (isThere && !hasDatabase) return [`libs/contracts/services.ts: ${name} has ${schema}: set hasDatabase`]
  if (!hasDatabase) return []
  if (!isThere) return [`${schema}: describe its tables`]
  const migrations = readMigrations(findPrismaFolder(name, join(root, 'apps')))
  const command = `npm run migrate -- --create init --service ${name}`
  return migrations.length > 0 ? [] : [`apps/${name}/prisma/migrations: run \`${command}\``]
}

function sorted(versions: Record<string, string> = {}): string {
  return JSON.stringify(Object.entries(versions).toSorted())
}

function readJson<Content>(root: string, file: string): Content {
  return JSON.parse(readFileSync(join(root, file), 'utf8'))
}
