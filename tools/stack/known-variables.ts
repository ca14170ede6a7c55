/** Which variables a service reads: a misspelt one would be ignored without a word. */
import { join } from 'node:path'
import { describeConfig } from '@shop/service-kit/config'
import type { TObject } from 'typebox'
import { type App, allInstances, findInstances } from './instances.ts'
import type { ServiceVariable } from './options.ts'

const apps = join(import.meta.dirname, '..', '..', 'apps')
/** What Node and the libraries read by themselves. */
const general = /^(?:NODE_|UV_|OTEL_|PG|SSL_|LANG$|LC_|TZ$|DEBUG$|MALLOC_|[a-z])/

/** Throws with the nearest name for the first variable that none of its services reads. */
export async function requireKnownVariables(variables: readonly ServiceVariable[]): Promise<void> {
  for (const { service, name } of variables) {
    if (general.test(name)) continue
    const readers = service === undefined ? allInstances : findInstances(service, '--env')
    const lists = await Promise.all([...new Set(readers.map(({ app }) => app))].map(variablesOf))
    const known = lists.flat()
    if (known.includes(name)) continue
    const who = service === undefined ? 'no service reads' : `${service} does not read`
    throw new Error(
      `--env names ${name}, which ${who}: the nearest name is ${nearest(name, known)}; .env.example has all.`,
    )
  }
}

/** A file of another project is read as a file, like a schema: nothing imports an app. */
async function variablesOf(app: App): Promise<string[]> {
  const { configSchema } = (await import(join(apps, app, 'config.ts'))) as { configSchema: TObject }
  return describeConfig(configSchema).map(({ name }) => name)
}

/** By pairs of letters that both have. */
function nearest(name: string, known: readonly string[]): string {
  const pairs = (text: string) => new Set(Array.from({ length: text.length - 1 }, (_, i) => text.slice(i, i + 2)))
  const wanted = pairs(name.toUpperCase())
  const score = (other: string) => {
    const theirs = pairs(other)
    return (2 * wanted.intersection(theirs).size) / (wanted.size + theirs.size)
  }
  return known.toSorted((a, b) => score(b) - score(a))[0] ?? ''
}
