/** The rules of the house: no import rings, small folders, no production file that only tests use. */
import { posix } from 'node:path'
import { type Checkout, isTest } from './checkout.ts'
import { type ImportGraph, rings, unreached } from './graph.ts'

/** The most production files that a reader finds in one folder. */
export const maxFolderFiles = 12

export interface Exceptions {
  /** A file of each ring that is left, with the reason. */
  rings: Readonly<Record<string, string>>
  /** Folders over the limit, with the reason. */
  folders: Readonly<Record<string, string>>
  /** Files, or whole folders with a slash at the end, that only tests use, with the reason. */
  unreached: Readonly<Record<string, string>>
}

/** Files that are started, or found by their path, and not imported. Patterns of `path.matchesGlob`. */
const entryPatterns = [
  '*.ts',
  'apps/*/main.ts',
  'apps/*/config.ts', // compared with .env.example
  'apps/*/keys.ts', // found by their path: libs/service-kit/storage/key-families.ts
  'infra/setup/setup.ts', // docker-compose.yml
  '{apps,libs,tools,infra}/**/*.d.ts', // types of a package that has none: read by the compiler
  'infra/healthcheck.mjs', // infra/Dockerfile
  'tools/bootstrap.mjs',
]

/** One sentence per breach, with the names of its files; empty when the rules hold. An exception that is not needed is a breach. */
export function breaches(checkout: Checkout, graph: ImportGraph, exceptions: Exceptions): string[] {
  const found = [ringBreaches(graph), folderBreaches(checkout), unreachedBreaches(checkout, graph)]
  const allowed = [exceptions.rings, exceptions.folders, exceptions.unreached].map(Object.keys)
  return found.flatMap((breaches, index) => withoutExceptions(breaches, allowed[index] ?? []))
}

interface Breach {
  paths: readonly string[]
  sentence: string
}

function ringBreaches({ imports }: ImportGraph): Breach[] {
  return rings(imports).map((paths) => ({ paths, sentence: `import each other in a ring: ${paths.join(', ')}` }))
}

function folderBreaches(checkout: Checkout): Breach[] {
  return folderSizes(checkout)
    .filter(({ count }) => count > maxFolderFiles)
    .map(({ folder, count }) => ({
      paths: [folder],
      sentence: `${folder} has ${count} production files, at most ${maxFolderFiles} are allowed`,
    }))
}

function unreachedBreaches(checkout: Checkout, graph: ImportGraph): Breach[] {
  return unreached(graph, entryPoints(checkout)).map((path) => ({
    paths: [path],
    sentence: `${path} is used by tests only, or by nothing`,
  }))
}

function withoutExceptions(breaches: readonly Breach[], exceptions: readonly string[]): string[] {
  const matches = ({ paths }: Breach, exception: string) =>
    paths.some((path) => path === exception || (exception.endsWith('/') && path.startsWith(exception)))
  return [
    ...breaches.filter((breach) => !exceptions.some((exception) => matches(breach, exception))).map((b) => b.sentence),
    ...exceptions
      .filter((exception) => !breaches.some((breach) => matches(breach, exception)))
      .map((exception) => `the exception for ${exception} is no longer needed`),
  ]
}

/** Production files by folder, the largest first. */
export function folderSizes({ sources }: Checkout): { folder: string; count: number }[] {
  const production = [...sources.keys()].filter((path) => !isTest(path))
  const folders = Map.groupBy(production, (path) => posix.dirname(path))
  return [...folders]
    .map(([folder, paths]) => ({ folder, count: paths.length }))
    .toSorted((a, b) => b.count - a.count || a.folder.localeCompare(b.folder))
}

/** The declared entry points, and the tools that an npm script starts. */
export function entryPoints({ sources, manifests }: Checkout): string[] {
  const scripts = Object.values(manifests.get('')?.scripts ?? {})
  const tools = scripts.flatMap((line) =>
    [...line.matchAll(/tools\/bootstrap\.mjs (\S+)/g)].map(([, name]) => `tools/${name}.ts`),
  )
  const declared = [...sources.keys()].filter((path) =>
    entryPatterns.some((pattern) => posix.matchesGlob(path, pattern)),
  )
  return [...declared, ...tools]
}
