/**
 * Which services must be restarted because a file was saved. Folders are watched, not files: an editor that saves by renaming
 * a new file over the old one is noticed each time, and so is a .lua file, which no module imports.
 */
import { statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { type ServiceName, serviceNames } from '@shop/contracts/services'

const root = join(import.meta.dirname, '..', '..', '..')
/** Editors write several files per save, and version control many. */
const settleMs = 150
/** Packages that services run. */
const libraries = ['contracts', 'redis-kit', 'service-kit']

export interface Changes {
  /** Saved, relative to the repository. */
  files: readonly string[]
  deleted: readonly string[]
  apps: readonly ServiceName[]
}

/** Returns the way to stop. @param folder the repository, or a copy of it */
export function watchSources(onChange: (changes: Changes) => void, folder: string = root): () => void {
  const changed = new Set<string>()
  /** Of each file when it was last handed over: several events may come late for one save. */
  const versions = new Map<string, string | undefined>()
  let timer: NodeJS.Timeout | undefined
  const folders = [...serviceNames.map((app) => `apps/${app}`), ...libraries.map((name) => `libs/${name}`)]
  const watchers = folders.map((name) =>
    watch(join(folder, name), { recursive: true }, (_event, file) => note(`${name}/${file ?? ''}`)).on(
      'error',
      () => {},
    ),
  )
  return () => {
    clearTimeout(timer)
    for (const watcher of watchers) watcher.close()
  }

  function note(file: string) {
    if (appsOf(file).length === 0) return
    changed.add(file)
    clearTimeout(timer)
    timer = setTimeout(flush, settleMs)
  }

  function flush() {
    const news = [...changed].filter(isNew)
    changed.clear()
    if (news.length === 0) return
    onChange({
      files: news.filter((file) => versions.get(file) !== undefined),
      deleted: news.filter((file) => versions.get(file) === undefined),
      apps: serviceNames.filter((app) => news.some((file) => appsOf(file).includes(app))),
    })
  }

  function isNew(file: string): boolean {
    const version = versionOf(join(folder, file))
    if (versions.has(file) && versions.get(file) === version) return false
    versions.set(file, version)
    return true
  }
}

/** Undefined when there is no such file. */
function versionOf(path: string): string | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats && `${stats.ino} ${stats.mtimeNs} ${stats.size}`
}

/** The services that a file is part of; none for tests, pages and what is generated. */
export function appsOf(file: string): readonly ServiceName[] {
  const [group, name = '', ...rest] = file.split('/')
  const isSource = /^[^.].*\.(?:ts|js|mjs|json|lua|sql|prisma)$/.test(rest.at(-1) ?? '')
  const isOther = /(?:^|\/)node_modules\/|\/prisma\/client\/|\.(?:test|fixture)\.ts$|\/fixtures\//.test(file)
  if (!isSource || isOther) return []
  if (group === 'libs') return libraries.includes(name) ? serviceNames : []
  return serviceNames.filter((app) => app === name)
}
