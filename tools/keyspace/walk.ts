/**
 * A walk over the keys of one Redis server, compared with the declarations: each key belongs to a family of this server, has its type,
 * and expires if and when the family says so. Findings name patterns, never ids: they are printed in reports.
 */
import type { Redis } from '@shop/redis-kit/connection'
import type { KeyFamily, KeyRole } from '@shop/redis-kit/keys'

const maxKeyCount = 100_000
const batchSize = 500
/** PTTL of a key without an expiry. */
const immortal = -1
/** A word of ours: `order`, `rate-limit`. Everything else in a key may be an id. */
const word = /^[a-z]+(-[a-z]+)*$/

export interface SeenKey {
  key: string
  /** As TYPE answers: `none` for a key that is gone by now. */
  type: string
  pttlMs: number
}

type Problem = 'undeclared' | 'wrong type' | 'immortal' | 'lives too long'

export interface Finding {
  problem: Problem
  pattern: string
  keyCount: number
  /** What was found, and what is declared. */
  detail?: string
}

export interface Walk {
  keyCount: number
  /** False when there are more than the walk may look at. */
  isComplete: boolean
  findings: Finding[]
}

export interface WalkOptions {
  role: KeyRole
  families: readonly KeyFamily[]
  /** @default 100_000 */
  limit?: number
}

/** As a user that may SCAN, TYPE and PTTL: `viewer`. One server only, not a Cluster. */
export async function walkKeyspace(redis: Redis, options: WalkOptions): Promise<Walk> {
  return judge(scan(redis, options.limit ?? maxKeyCount), options)
}

/** The same for keys that were read by other means. */
export async function judge(keys: AsyncIterable<SeenKey> | Iterable<SeenKey>, options: WalkOptions): Promise<Walk> {
  const { role, families, limit = maxKeyCount } = options
  const stored = families.filter(({ type }) => type !== 'channel')
  const findings = new Map<string, Finding>()
  let keyCount = 0
  for await (const seen of keys) {
    if (keyCount === limit) return { keyCount, isComplete: false, findings: [...findings.values()] }
    keyCount += 1
    for (const { problem, pattern, detail } of problemsOf(seen, role, stored)) {
      const id = `${problem} ${pattern} ${detail}`
      const known = findings.get(id)
      findings.set(id, { problem, pattern, keyCount: (known?.keyCount ?? 0) + 1, ...(detail && { detail }) })
    }
  }
  return { keyCount, isComplete: true, findings: [...findings.values()] }
}

/** One line per finding, for a report. */
export function describeWalk(server: string, { keyCount, isComplete, findings }: Walk): string[] {
  return [
    ...(isComplete ? [] : [`${server}: more than ${keyCount} keys; the rest was not checked`]),
    ...findings.map(({ problem, pattern, keyCount, detail }) => {
      const keys = `${keyCount} ${keyCount === 1 ? 'key' : 'keys'}`
      return `${server}: ${problem}: ${pattern} (${keys})${detail === undefined ? '' : `: ${detail}`}`
    }),
  ]
}

async function* scan(redis: Redis, limit: number): AsyncGenerator<SeenKey> {
  const seen = new Set<string>() // SCAN may return a key twice
  let cursor = '0'
  do {
    const [next, batch] = await redis.scan(cursor, 'COUNT', batchSize)
    cursor = next
    const fresh = batch.filter((key) => !seen.has(key))
    for (const key of fresh) seen.add(key)
    const answers = await Promise.all(fresh.flatMap((key) => [redis.type(key), redis.pttl(key)]))
    for (const [index, key] of fresh.entries())
      yield { key, type: String(answers[2 * index]), pttlMs: Number(answers[2 * index + 1]) }
  } while (cursor !== '0' && seen.size <= limit)
}

type Problems = Omit<Finding, 'keyCount'>[]

function problemsOf({ key, type, pttlMs }: SeenKey, role: KeyRole, families: readonly KeyFamily[]): Problems {
  if (type === 'none' || pttlMs === -2) return [] // expired since SCAN named it
  const family = families.find((one) => one.matches(key))
  if (family === undefined) return [{ problem: 'undeclared', pattern: patternOf(key, families) }]
  const { pattern, ttl } = family
  if (family.role !== role)
    return [{ problem: 'undeclared', pattern, detail: `declared for the ${family.role} server` }]
  const problems: Problems = []
  if (type !== family.type)
    problems.push({ problem: 'wrong type', pattern, detail: `${type}, declared ${family.type}` })
  if ('ms' in ttl && pttlMs === immortal)
    problems.push({ problem: 'immortal', pattern, detail: `declared ${ttl.ms} ms` })
  if ('ms' in ttl && pttlMs > ttl.ms)
    problems.push({ problem: 'lives too long', pattern, detail: `declared ${ttl.ms} ms` })
  return problems
}

/** `order:cart:*` for `order:cart:u-1`: a segment stays when a declaration has it, or it is one of the first two and a plain word. */
function patternOf(key: string, families: readonly KeyFamily[]): string {
  const declared = new Set(families.flatMap(({ pattern }) => pattern.split(':')).filter((part) => word.test(part)))
  const parts = key.split(':').map((part, index) => {
    if (declared.has(part) || (index < 2 && part.length <= 24 && word.test(part))) return part
    return part.startsWith('{') && part.endsWith('}') ? '{*}' : '*'
  })
  return parts.join(':')
}
