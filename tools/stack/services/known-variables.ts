/** Which variables a service reads: a misspelt one would be ignored without a word. */
import { join } from 'node:path'
import type { ServiceName } from '@shop/contracts/services'
import { describeConfig } from '@shop/service-kit/process/config'
import type { TObject } from 'typebox'
import type { ServiceVariable } from '../options.ts'
import { allInstances, findInstances } from './instances.ts'

const apps = join(import.meta.dirname, '..', '..', '..', 'apps')
/** What Node and the libraries read by themselves. */
const general = /^(?:NODE_|UV_|OTEL_|PG|SSL_|LANG$|LC_|TZ$|DEBUG$|MALLOC_|[a-z])/

/** Throws, with the nearest name if one is near, for the first variable that none of its services reads. */
export async function requireKnownVariables(variables: readonly ServiceVariable[]): Promise<void> {
  for (const { service, name } of variables) {
    if (general.test(name)) continue
    const readers = service === undefined ? allInstances : findInstances(service, '--env')
    const lists = await Promise.all([...new Set(readers.map(({ app }) => app))].map(variablesOf))
    const known = lists.flat()
    if (known.includes(name)) continue
    const who = service === undefined ? 'every service ignores' : `${service} ignores`
    const near = nearest(name, known)
    const hint = near === undefined ? '' : ` the nearest name is ${near};`
    throw new Error(`--env names ${name}, which ${who}:${hint} .env.example lists all names.`)
  }
}

/** A file of another project is read as a file, like a schema: nothing imports an app. */
async function variablesOf(app: ServiceName): Promise<string[]> {
  const { configSchema } = (await import(join(apps, app, 'config.ts'))) as { configSchema: TObject }
  return describeConfig(configSchema).map(({ name }) => name)
}

/** The known name that takes the fewest single-letter changes; undefined when more than a third of the letters differ, and more than two. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const distanceTo = (other: string) => editDistance(name.toUpperCase(), other)
  const [best] = known.toSorted((a, b) => distanceTo(a) - distanceTo(b))
  if (best === undefined) return undefined
  return distanceTo(best) <= Math.max(2, Math.max(name.length, best.length) / 3) ? best : undefined
}

/** Levenshtein's: letters inserted, removed or replaced. One row of the table at a time. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [row, letter] of [...a].entries()) {
    const current = [row + 1]
    for (let column = 1; column <= b.length; column += 1) {
      const [removed = 0, replaced = 0, inserted = 0] = [above[column], above[column - 1], current[column - 1]]
      current.push(Math.min(removed + 1, inserted + 1, replaced + (b[column - 1] === letter ? 0 : 1)))
    }
    above = current
  }
  return above[b.length] ?? 0
}
