/** The import graph of a checkout, types and tests included, and what can be asked of it. */
import { posix } from 'node:path'
import { type Checkout, isTest } from './checkout.ts'
import { type Syntax, syntaxOf } from './syntax.ts'

export interface ImportGraph {
  /** Each file with the files that it imports. */
  imports: ReadonlyMap<string, readonly string[]>
  /** Each file with the files whose path it spells: programs that it starts. */
  paths: ReadonlyMap<string, readonly string[]>
  syntax: ReadonlyMap<string, Syntax>
}

/**
 * Imports of packages from npm are left out. Throws when a source of this repository that is imported does not exist.
 * @param like a checkout that was read already: files that are the same are not parsed again
 */
export function importGraph(checkout: Checkout, like?: { checkout: Checkout; graph: ImportGraph }): ImportGraph {
  const parsed = (path: string, text: string) =>
    like?.checkout.sources.get(path) === text ? like.graph.syntax.get(path) : undefined
  const syntax = new Map(
    [...checkout.sources].map(([path, text]) => [path, parsed(path, text) ?? syntaxOf(path, text)]),
  )
  const resolve = resolver(checkout)
  const edges = (targets: (path: string, syntax: Syntax) => (string | undefined)[]) =>
    new Map([...syntax].map(([path, own]) => [path, targets(path, own).filter((target) => target !== undefined)]))
  return {
    syntax,
    imports: edges((path, own) => own.imports.map((specifier) => resolve(path, specifier))),
    paths: edges((path, own) => own.paths.flatMap((text) => spelled(checkout, path, text))),
  }
}

/** By the rules of Node: relative paths with their extension, and `@shop/…` through the `exports` of the package. */
function resolver({ sources, manifests }: Checkout) {
  const packages = new Map([...manifests].map(([folder, manifest]) => [manifest.name, { folder, manifest }]))
  return (from: string, specifier: string): string | undefined => {
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : exported(specifier)
    // Generated clients and other files that are no sources are imported by the same rules.
    const isOurs = target !== undefined && /\.(ts|mjs)$/.test(target) && !target.includes('/prisma/client/')
    if (isOurs && !sources.has(target)) throw new Error(`${from} imports ${specifier}, which does not exist`)
    return isOurs ? target : undefined
  }

  function exported(specifier: string): string | undefined {
    const [scope, name, ...rest] = specifier.split('/')
    const found = packages.get(`${scope}/${name}`)
    if (!found) return undefined
    const subpath = ['.', ...rest].join('/')
    const { exports } = found.manifest
    if (!exports) return posix.join(found.folder, `${subpath}.ts`)
    const target = exports[subpath] ?? exports['./*']?.replace('*', rest.join('/'))
    return target && posix.join(found.folder, target)
  }
}

/** Relative to the file that spells it, or to the root of its workspace or of the repository. */
function spelled({ sources, manifests }: Checkout, from: string, text: string): string[] {
  const roots = [posix.dirname(from), ...[...manifests.keys()].filter((root) => from.startsWith(root))]
  return roots.map((root) => posix.join(root, text)).filter((path) => path !== from && sources.has(path))
}

/** The rings of the graph: sets of files, each of which imports every other one in some number of steps. (Tarjan, 1972.) */
export function rings(imports: ImportGraph['imports']): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  for (const path of imports.keys()) if (!index.has(path)) visit(path)
  return found

  function visit(path: string): number {
    let lowest = index.size
    index.set(path, lowest)
    const own = lowest
    stack.push(path)
    for (const target of imports.get(path) ?? []) {
      if (!index.has(target)) lowest = Math.min(lowest, visit(target))
      else if (stack.includes(target)) lowest = Math.min(lowest, low.get(target) ?? index.get(target) ?? lowest)
    }
    low.set(path, lowest)
    if (lowest === own) {
      const ring = stack.splice(stack.indexOf(path))
      if (ring.length > 1 || imports.get(path)?.includes(path)) found.push(ring.toSorted())
    }
    return lowest
  }
}

/** Production files that no entry point leads to. Tests lead nowhere. */
export function unreached({ imports, paths }: ImportGraph, entries: readonly string[]): string[] {
  const reached = new Set<string>()
  const waiting = entries.filter((path) => imports.has(path))
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path) || isTest(path)) continue
    reached.add(path)
    waiting.push(...(imports.get(path) ?? []), ...(paths.get(path) ?? []))
  }
  return [...imports.keys()].filter((path) => !reached.has(path) && !isTest(path))
}
