/** Which suites there are. A new one is a folder with a `suite.ts`, and a line here. */
import type { Suite } from './suite.ts'

const suites: Record<string, () => Promise<{ suite: unknown }>> = {
  cache: () => import('../cache/suite.ts'),
  http: () => import('../http/suite.ts'),
  'rate-limit': () => import('../rate-limit/suite.ts'),
  stream: () => import('../stream/suite.ts'),
}

export const suiteNames = Object.keys(suites)

/** Throws for a name that is none. */
export async function findSuite(name: string): Promise<Suite> {
  const load = suites[name]
  if (!load) throw new Error(`unknown suite "${name}": use one of ${suiteNames.join(', ')}`)
  return (await load()).suite as Suite
}
