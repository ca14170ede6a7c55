/** docs/keys.md: every key family, written from the declarations in code. */
import type { KeyFamily } from '@shop/redis-kit/keys'
import { registryKeys } from '@shop/service-kit/storage/registry-keys'

const lineWidth = 140
const head = `# Keys

Every key and channel in Redis, by owner. \`npm run generate\` writes this page from the declarations: \`apps/*/keys.ts\` names the families
of a service; \`keyFamily\` calls describe them, most of them in \`libs/redis-kit\`. The owner \`registry\` is not a service: all services
register there ([registry-keys.ts](../libs/service-kit/storage/registry-keys.ts)). Do not edit this page; \`npm test\` compares it with the
code.

- **pattern**: \`<x>\` is a placeholder. Braces are the hash tag: keys with the same tag live in one slot of a Cluster.
- **role**: \`cache\` may be evicted at any moment; \`state\` may not be lost. They are two servers.
- **TTL**: the longest that a key lives. Most keys live shorter; the page of the pattern says how long.
- **others**: the services besides the owner that may use the key ([ACL](../libs/redis-kit/acl/README.md)).
- **viewer**: what a person sees as the read-only user \`viewer\`: \`values\`, or only \`sizes\` (type, TTL and size). Key names are always
  visible ([decision](decisions/0028-a-user-who-only-looks.md)).

The page of each pattern in [libs/redis-kit](../libs/redis-kit/README.md) has commands to look at its keys, under "Look at it".

At the end of the end-to-end run both servers are walked. The run fails for a key that is not on this page or has another type. It also
fails for a key that has no TTL although the page names one, or a longer one.
`

/** The whole page. */
export function keysPage(families: readonly KeyFamily[]): string {
  const owners = Object.entries(Object.groupBy(families, ({ service }) => service))
  const sections = owners.toSorted(([a], [b]) => a.localeCompare(b)).map(([owner, own = []]) => section(owner, own))
  return `${[head.trimEnd(), ...sections].join('\n\n')}\n`
}

function section(owner: string, families: readonly KeyFamily[]): string {
  const sorted = families.toSorted((a, b) => a.pattern.localeCompare(b.pattern))
  return [`## ${owner}`, table(sorted), descriptions(sorted)].join('\n\n')
}

function table(families: readonly KeyFamily[]): string {
  const rows = families.map((family) => [
    `\`${family.pattern}\``,
    family.type,
    family.role,
    'ms' in family.ttl ? duration(family.ttl.ms) : 'none',
    hashTag(family.pattern),
    others(family),
    family.hidden === undefined ? 'values' : 'sizes',
  ])
  const all = [['pattern', 'type', 'role', 'TTL', 'hash tag', 'others', 'viewer'], ...rows]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [header = [], ...body] = all
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

/** Families that are described alike, those of two topics for instance, share a line. */
function descriptions(families: readonly KeyFamily[]): string {
  const alike = Object.entries(Object.groupBy(families, description))
  return alike
    .map(([text, group = []]) => wrapped(`- ${group.map(({ pattern }) => `\`${pattern}\``).join(' · ')}: ${text}`))
    .join('\n')
}

function description({ doc, ttl, hidden }: KeyFamily): string {
  const noTtl = 'immortal' in ttl ? ` No TTL: ${ttl.immortal}.` : ''
  return `${doc}.${noTtl}${hidden === undefined ? '' : ` Hidden: ${hidden}.`}`
}

/** `<sku>` of `catalog:product:{<sku>}:value`. */
function hashTag(pattern: string): string {
  const [, tag = ''] = /\{([^}]+)\}/.exec(pattern) ?? []
  return tag && `\`${tag}\``
}

/** The registry belongs to all services alike; naming each of them says less. */
function others({ sharedWith = {}, pattern }: KeyFamily): string {
  if (Object.values(registryKeys).some((family) => family.pattern === pattern)) return 'all write'
  const entries = Object.entries(sharedWith).toSorted(([a], [b]) => a.localeCompare(b))
  return entries.map(([service, access]) => `${service} ${access}s`).join(', ')
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const

function duration(ms: number): string {
  const [name, unitMs] = units.find(([, size]) => ms % size === 0) ?? ['ms', 1]
  const count = ms / unitMs
  return `${count} ${name}${count === 1 || name === 'ms' ? '' : 's'}`
}

function wrapped(text: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > lineWidth) {
      lines.push(line)
      line = `  ${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}
