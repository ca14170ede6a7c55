/**
 * The table of limits as a YAML file, see policies.yaml. Every mistake is reported, not only the first, each as `file:line: reason`. A file
 * with one is refused as a whole.
 */
import { constants, open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ALGORITHMS } from '@shop/redis-kit/rate-limit/algorithms'
import { ConfigError } from '@shop/service-kit/process/config'
import { routeClasses } from '../../routes.ts'
import {
  type Bulkhead,
  dimensionNames,
  failPolicies,
  type LimitPolicy,
  type PolicyRule,
  type PolicySource,
  roles,
} from '../policy.ts'
import { problemsOf } from '../policy-rules.ts'
import { tableProblems } from '../table-rules.ts'
import { countIn, limitIn, sizeIn } from './units.ts'
import { createNodeReader, type NodeReader } from './yaml-fields.ts'
import { type LineProblem, type Located, readYaml } from './yaml-lines.ts'

export const defaultPolicyFile = fileURLToPath(new URL('../policies.yaml', import.meta.url))

/** A table for people is much shorter. Reading stops here, whatever the file is. */
const maxFileBytes = 262_144

/** Opening a pipe into which nothing is written would wait for ever, all later reloads behind it, and the end of the process too. */
const withoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK

/** Throws a ConfigError with one sentence per mistake. */
export async function readPolicyFile(path: string): Promise<PolicySource> {
  const text = await textOf(path)
  const { source, problems } = parsePolicies(text)
  if (source !== undefined) return source
  throw new ConfigError(problems.map(({ line, reason }) => `${path}:${line}: ${reason}`))
}

async function textOf(path: string): Promise<string> {
  try {
    await using file = await open(path, withoutWaiting)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxFileBytes + 1), 0, maxFileBytes + 1)
    if (bytesRead > maxFileBytes) throw new ConfigError([`${path}:1: the file is larger than ${maxFileBytes} bytes`])
    return buffer.toString('utf8', 0, bytesRead)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const { code = String(error) } = error as NodeJS.ErrnoException
    throw new ConfigError([`${path}:1: the file with the limits (RATE_LIMIT_FILE) cannot be read: ${code}`])
  }
}

/** The table, or everything that is wrong with the text, in the order of its lines. */
export function parsePolicies(text: string): { source?: PolicySource; problems: LineProblem[] } {
  const { root, problems } = readYaml(text)
  if (root === undefined) return { problems: sorted(problems) }
  const read = createNodeReader((line, reason) => problems.push({ line, reason }))
  const source = readTable(root, read)
  return problems.length === 0 && source !== undefined ? { source, problems } : { problems: sorted(problems) }
}

function sorted(problems: LineProblem[]): LineProblem[] {
  return problems.sort((a, b) => a.line - b.line)
}

function readTable(root: Located, read: NodeReader): PolicySource | undefined {
  const fields = read.fields(root, 'the file', ['rules', 'bulkheads', 'maxConnectionsPerAddress'])
  if (fields === undefined) return undefined
  const rules = read.list(fields.rules, 'rules', (node) => readRule(node, read))
  const bulkheads = read.list(fields.bulkheads, 'bulkheads', (node) => readBulkhead(node, read))
  const maxConnectionsPerAddress = read.with(fields.maxConnectionsPerAddress, 'maxConnectionsPerAddress', countIn)
  const isWhole = rules !== undefined && bulkheads !== undefined && maxConnectionsPerAddress !== undefined
  for (const { of, reason } of tableProblems({ rules, bulkheads })) {
    read.report(read.lineOf(of) ?? fields.bulkheads?.line ?? 1, reason)
  }
  return isWhole ? { rules, bulkheads, maxConnectionsPerAddress } : undefined
}

function readRule(node: Located, read: NodeReader): PolicyRule | undefined {
  const fields = read.fields(node, 'a rule', ['routes', 'dimension', 'policies'])
  if (fields === undefined) return undefined
  const routes = readRoutes(fields.routes, read)
  const dimension = read.oneOf(fields.dimension, 'dimension', dimensionNames)
  const policies = read.list(fields.policies, 'policies', (one) => {
    const policy = readPolicy(one, read)
    if (policy === undefined || dimension === undefined) return policy
    for (const { field, reason } of problemsOf(policy, dimension)) {
      read.report(one.fields?.get(field)?.line ?? one.line, reason)
    }
    return policy
  })
  if (routes === undefined || dimension === undefined || policies === undefined) return undefined
  return read.located({ routes, dimension, policies }, node)
}

function readPolicy(node: Located, read: NodeReader): LimitPolicy | undefined {
  const required = ['name', 'algorithm', 'limit', 'role', 'onUnavailable'] as const
  const fields = read.fields(node, 'a policy', required, ['burst', 'cost'])
  if (fields === undefined) return undefined
  const name = read.text(fields.name, 'name')
  const algorithm = read.oneOf(fields.algorithm, 'algorithm', ALGORITHMS)
  const limit = read.with(fields.limit, 'limit', limitIn)
  const role = read.oneOf(fields.role, 'role', roles)
  const onUnavailable = read.oneOf(fields.onUnavailable, 'onUnavailable', failPolicies)
  const burst = read.number(fields.burst, 'burst')
  const cost = read.number(fields.cost, 'cost')
  const isBroken = (node: Located | undefined, value: unknown) => node !== undefined && value === undefined
  if (isBroken(fields.burst, burst) || isBroken(fields.cost, cost)) return undefined
  if (name === undefined || algorithm === undefined || limit === undefined) return undefined
  if (role === undefined || onUnavailable === undefined) return undefined
  const policy = { name, algorithm, limit, role, onUnavailable }
  return read.located({ ...policy, ...(burst !== undefined && { burst }), ...(cost !== undefined && { cost }) }, node)
}

function readBulkhead(node: Located, read: NodeReader): Bulkhead | undefined {
  const fields = read.fields(node, 'a bulkhead', ['routes', 'maxConcurrent', 'maxConcurrentPerAddress', 'bodyMaxBytes'])
  if (fields === undefined) return undefined
  const routes = readRoutes(fields.routes, read)
  const maxConcurrent = read.with(fields.maxConcurrent, 'maxConcurrent', countIn)
  const maxConcurrentPerAddress = read.with(fields.maxConcurrentPerAddress, 'maxConcurrentPerAddress', countIn)
  const bodyMaxBytes = read.with(fields.bodyMaxBytes, 'bodyMaxBytes', sizeIn)
  if (routes === undefined || maxConcurrent === undefined || maxConcurrentPerAddress === undefined) return undefined
  if (bodyMaxBytes === undefined) return undefined
  return read.located({ routes, maxConcurrent, maxConcurrentPerAddress, bodyMaxBytes }, node)
}

function readRoutes(node: Located | undefined, read: NodeReader): PolicyRule['routes'] | undefined {
  if (node?.scalar === 'all') return 'all'
  return read.list(node, 'routes', (one) => read.oneOf(one, 'route class', routeClasses))
}
