/** The key families of all services, read from the `keys.ts` of each, and the shared ones. The Redis users are generated from them. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyFamily } from '@shop/redis-kit/keys'
import { registryKeys } from './registry-keys.ts'

const apps = join(import.meta.dirname, '..', '..', '..', 'apps')

/** A file of another project is read as a file, like a schema: nothing imports an app. */
export async function readKeyFamilies(): Promise<KeyFamily[]> {
  const services = readdirSync(apps).filter((name) => existsSync(join(apps, name, 'keys.ts')))
  const lists = await Promise.all(
    services.map(async (service) => {
      const { keyFamilies } = (await import(join(apps, service, 'keys.ts'))) as { keyFamilies: KeyFamily[] }
      return keyFamilies
    }),
  )
  return [...Object.values(registryKeys), ...lists.flat()]
}
