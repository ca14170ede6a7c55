/**
 * Who may import whom: the directions of docs/architecture.md, checked against Nx's project graph.
 *
 * Nx draws its graph from the package.json files. So that the graph cannot lie, the imports in the sources are compared
 * with those files too: an import that no package.json declares is a violation, and so is a path that leaves its project.
 */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'

/** What each kind of project may import of ours. `test` is what only its tests may. */
const allowed: Record<string, { code: readonly string[]; test: readonly string[] }> = {
  app: { code: ['service-kit', 'redis-kit', 'contracts'], test: ['test-kit'] },
  e2e: { code: ['contracts', 'test-kit'], test: [] },
  'service-kit': { code: ['redis-kit', 'contracts'], test: ['test-kit'] },
  'redis-kit': { code: [], test: ['test-kit'] },
  contracts: { code: [], test: [] },
  'test-kit': { code: [], test: [] },
  infra: { code: ['service-kit', 'redis-kit', 'contracts'], test: ['test-kit'] },
  tools: { code: ['service-kit', 'redis-kit', 'contracts', 'test-kit'], test: [] },
}

interface Manifest {
  name: string
  nx?: { tags?: string[] }
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}

interface Project {
  name: string
  root: string
  kind: string
  manifest: Manifest
}

interface Graph {
  nodes: Record<string, { data: { root: string } }>
  dependencies: Record<string, { target: string }[]>
}

/** Nx's own graph of the workspace at `root`, as `npx nx graph --file` writes it. Throws when Nx cannot make it. */
export function readGraph(root: string): Graph {
  const file = join(tmpdir(), `redis-shop-graph-${process.pid}.json`)
  const { status, stderr, stdout } = spawnSync(join(root, 'node_modules/.bin/nx'), ['graph', `--file=${file}`], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NX_DAEMON: 'false', NX_WORKSPACE_ROOT_PATH: root },
  })
  if (status !== 0) throw new Error(`nx graph failed:\n${stderr}${stdout}`)
  const { graph } = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file)
  return graph
}

/** Every breach of the directions, one sentence each; empty when all is well. */
export function violations(root: string, graph: Graph): string[] {
  const projects = Object.entries(graph.nodes)
    .filter(([, node]) => node.data.root !== '.')
    .map(([name, node]) => describe(root, name, node.data.root))
  const byName = new Map(projects.map((project) => [project.name, project]))
  return projects.flatMap((project) => [
    ...edgeViolations(project, graph.dependencies[project.name] ?? [], byName),
    ...sourceViolations(root, project, projects),
  ])
}

function describe(root: string, name: string, projectRoot: string): Project {
  const manifest: Manifest = JSON.parse(readFileSync(join(root, projectRoot, 'package.json'), 'utf8'))
  const kind = manifest.nx?.tags?.find((tag) => tag.startsWith('type:'))?.slice('type:'.length) ?? 'untagged'
  return { name, root: projectRoot, kind, manifest }
}

function edgeViolations(project: Project, edges: { target: string }[], byName: Map<string, Project>): string[] {
  const rule = allowed[project.kind]
  if (!rule) return [`${project.root}: its tag "type:${project.kind}" is unknown`]
  return edges.flatMap(({ target }) => {
    const to = byName.get(target)
    if (!to) return []
    const inTests = target in (project.manifest.devDependencies ?? {})
    const kinds = inTests ? [...rule.code, ...rule.test] : rule.code
    return kinds.includes(to.kind) ? [] : [`${project.root} must not depend on ${to.root}`]
  })
}

/** A project may lie within another's folder; then its files are its own. */
function sourceViolations(root: string, project: Project, projects: readonly Project[]): string[] {
  const inner = projects.filter(({ root: other }) => other.startsWith(`${project.root}/`))
  const files = globSync('**/*.{ts,tsx,mjs}', {
    cwd: join(root, project.root),
    exclude: [
      '**/node_modules/**',
      '**/prisma/client/**',
      ...inner.map((other) => `${relative(project.root, other.root)}/**`),
    ],
  })
  return files.flatMap((file) => {
    const path = join(project.root, file)
    const isTest = /\.(test|fixture)\.tsx?$/.test(file)
    return importsOf(readFileSync(join(root, path), 'utf8'))
      .map((specifier) => importViolation(project, path, specifier, isTest))
      .filter((violation) => violation !== undefined)
  })
}

/** The specifiers of static, re-exporting and dynamic imports, of types too. */
function importsOf(source: string): string[] {
  const pattern =
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm
  return [...source.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

function importViolation(project: Project, path: string, specifier: string, isTest: boolean): string | undefined {
  if (specifier.startsWith('.')) {
    const target = relative(resolve(project.root), resolve(dirname(path), specifier))
    return target.startsWith('..') ? `${path} leaves its project: ${specifier}` : undefined
  }
  const name = /^@shop\/[^/]+/.exec(specifier)?.[0]
  if (name === undefined || name === project.name) return undefined
  if (name in (project.manifest.dependencies ?? {})) return undefined
  if (name in (project.manifest.devDependencies ?? {})) {
    return isTest ? undefined : `${path} imports ${name}, which only tests may`
  }
  return `${path} imports ${name}, which ${project.root}/package.json does not declare`
}
