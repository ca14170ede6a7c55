/** `npm run dev`: what happens when a file is saved. */
import { generate } from '../../generate.ts'
import { migrate } from '../../migrate.ts'
import type { Restarted } from '../keep-alive.ts'
import type { DatabaseUrls } from '../stage.ts'
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

  async function follow({ files, deleted, apps }: Changes) {
    report(`${describe(files, deleted)}: restarting ${apps.join(', ')}.`)
    if (files.some((one) => one.endsWith('.prisma'))) await generate()
    if (files.some((one) => one.endsWith('.sql'))) await migrateAll(apps)
    const chosen = services.filter((service) => apps.some((app) => app === service.app))
    // The next save is not kept waiting for this one.
    void Promise.all(chosen.map((service) => service.restart())).then((all) => tell(apps, all))
  }

  /** One line when all run; a reason that several instances share once. Nothing when the next save came first. */
  function tell(apps: readonly string[], all: readonly Restarted[]) {
    const reasons = new Set(all.flatMap((one) => (one.status === 'failed' ? [one.reason] : [])))
    if (reasons.size > 0) report(`${[...reasons].join('\n')}\nNot started: the next save tries again.`)
    else if (all.every(({ status }) => status === 'running')) report(`Restarted: ${apps.join(', ')}.`)
  }

  async function migrateAll(apps: readonly string[]) {
    for (const [service, databaseUrl] of Object.entries(databaseUrls)) {
      if (apps.includes(service)) await migrate({ service, databaseUrl, onProgress: report })
    }
  }
}

function describe(saved: readonly string[], deleted: readonly string[]): string {
  const [file = '', ...others] = [...saved, ...deleted]
  const more = others.length > 0 ? ` and ${others.length} more` : ''
  return `${file}${more} ${saved.length > 0 ? 'saved' : 'deleted'}`
}
