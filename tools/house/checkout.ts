/** The sources and pages of one checkout, as text. It may be another one than this: an older commit, or a copy with a fault. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Manifest {
  name: string
  exports?: Record<string, string>
  scripts?: Record<string, string>
}

/** All paths are relative to the root, with slashes. */
export interface Checkout {
  root: string
  /** TypeScript and plain JavaScript. */
  sources: ReadonlyMap<string, string>
  /** Markdown. */
  pages: ReadonlyMap<string, string>
  /** By the folder of their package.json; `''` is the root. */
  manifests: ReadonlyMap<string, Manifest>
}

/** Reads a checkout; it needs neither git nor node_modules. */
export function readCheckout(root: string): Checkout {
  const manifests = [...read(root, ['package.json', '{apps,libs,tools,infra}/**/package.json'])]
  return {
    root,
    sources: read(root, ['*.ts', '{apps,libs,tools,infra}/**/*.{ts,mjs}']),
    pages: read(root, ['*.md', '{apps,libs,tools,infra,docs}/**/*.md']),
    manifests: new Map(manifests.map(([path, text]) => [path.replace(/\/?package\.json$/, ''), JSON.parse(text)])),
  }
}

function read(root: string, patterns: string[]): Map<string, string> {
  const paths = globSync(patterns, { cwd: root, exclude: ['**/node_modules/**', '**/prisma/client/**'] })
  return new Map(paths.toSorted().map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

/** True for tests and for what exists only for them. */
export function isTest(path: string): boolean {
  return /\.(test|fixture)\.ts$|\/fixtures\/|^apps\/e2e\//.test(path)
}

/** The part of the repository that a reader opens at once: a folder of a project, or the project itself. */
export function roomOf(path: string): string {
  const depth = /^(libs|tools\/bench)\//.test(path) ? 3 : 2
  return path.split('/').slice(0, -1).slice(0, depth).join('/') || '.'
}
