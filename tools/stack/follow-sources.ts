/** `npm run dev`: what happens when a file is saved. */
import { generate } from '../generate.ts'
import { migrate } from '../migrate.ts'
import type { DatabaseUrls } from './databases.ts'
import type { Service } from './service.ts'
import { type Changes, watchSources } from './watch.ts'

/** Returns the way to stop. */
export function followSources(
  services: readonly Service[],
  databaseUrls: DatabaseUrls,
  report: (line: string) => void,
): () => void {
  let last = Promise.resolve()
  return watchSources((changes) => {
    last = last.then(() => follow(changes)).catch((error: Error) => report(error.message))
  })

  async function follow({ files, apps }: Changes) {
    const [file = '', ...others] = files
    const more = others.length > 0 ? ` and ${others.length} more` : ''
    report(`${file}${more} saved: restarting ${apps.join(', ')}.`)
    if (files.some((one) => one.endsWith('.prisma'))) await generate()
    if (files.some((one) => one.endsWith('.sql'))) await migrateAll(apps)
    for (const service of services) if (apps.some((app) => app === service.app)) service.restart()
  }

  async function migrateAll(apps: readonly string[]) {
    for (const [service, databaseUrl] of Object.entries(databaseUrls)) {
      if (apps.includes(service)) await migrate({ service, databaseUrl, onProgress: report })
    }
  }
}
