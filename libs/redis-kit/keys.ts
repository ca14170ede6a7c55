/**
 * Each key of this system belongs to a family that is declared once: owner, type, expiry, purpose. The declarations make the keys
 * themselves, the ACL of each Redis user and docs/keys.md. At the end of the end-to-end run both servers are walked: a key without
 * a declaration fails the run.
 *
 *     const value = keyFamily({
 *       service: 'catalog', pattern: 'catalog:product:{<sku>}:value', type: 'string',
 *       role: 'cache', ttl: { ms: 60_000 }, example: ['TEA-1'], doc: 'a product as JSON',
 *     })
 *     value.key('TEA-1')            // catalog:product:{TEA-1}:value
 *
 * `<x>` is a placeholder. Braces are Redis Cluster's hash tag: keys with the same tag live in the same slot, so that one
 * script may touch them together.
 */

export type KeyType = 'string' | 'hash' | 'list' | 'set' | 'zset' | 'stream' | 'channel'
/** `cache` may be evicted at any moment; `state` may not be lost. They are two servers. */
export type KeyRole = 'cache' | 'state'

export interface KeyFamilyOptions {
  /** The owner: the only service that writes it, unless `sharedWith` says otherwise. */
  service: string
  /** With `<placeholders>`, and braces for the hash tag. */
  pattern: string
  type: KeyType
  role: KeyRole
  /** The longest that a key may live, or the reason why it has no TTL. */
  ttl: { ms: number } | { immortal: string }
  /** Ids for each placeholder, for docs and tests. */
  example: readonly (string | number)[]
  /** Other services that may read it, or write it too. @default none */
  sharedWith?: Readonly<Record<string, 'read' | 'write'>>
  /** The reason why the Redis user `viewer` may not read the values, personal data for instance. @default it may */
  hidden?: string
  /** What a key holds and what it is for: a phrase without a full stop. */
  doc: string
}

export interface KeyFamily extends KeyFamilyOptions {
  /** The key of these ids, which are escaped: no id can break out of its place. Throws a TypeError for a missing or empty one. */
  key(...ids: (string | number)[]): string
  /** Could this family have made this key? */
  matches(key: string): boolean
  /** The pattern for SCAN and for an ACL rule (`~catalog:product:{*}:value`). */
  readonly glob: string
  readonly exampleKey: string
}

/** Everything that means something in a key, a glob or a log line. `%` too, so that no two ids become one key. */
const SPECIAL = /[\s\p{Cc}:{}%<>*?[\]\\]/u
const EVERY_SPECIAL = new RegExp(SPECIAL.source, 'gu')
const ESCAPED_ID = '[^\\s\\p{Cc}:{}<>*?[\\]\\\\]+'
const PLACEHOLDER = /<[a-z][\w-]*>/gi

export function keyFamily(options: KeyFamilyOptions): KeyFamily {
  const { pattern } = options
  const texts = pattern.split(PLACEHOLDER)
  const shape = new RegExp(`^${texts.map(RegExp.escape).join(ESCAPED_ID)}$`, 'u')

  function key(...ids: (string | number)[]): string {
    if (ids.length !== texts.length - 1) {
      throw new TypeError(`${pattern} must get ${texts.length - 1} ids, not ${ids.length}`)
    }
    let result = texts[0] as string
    for (let i = 0; i < ids.length; i++) result += escapeId(String(ids[i]), pattern) + texts[i + 1]
    return result
  }
  return {
    ...options,
    key,
    matches: (candidate) => shape.test(candidate),
    glob: texts.join('*'),
    exampleKey: key(...options.example),
  }
}

/**
 * The list a service exports, checked: throws a TypeError when two families could make the same key, which is how one
 * feature comes to delete or mistype the data of another.
 */
export function distinctFamilies(families: readonly KeyFamily[]): KeyFamily[] {
  for (const [index, family] of families.entries()) {
    const twin = families.slice(0, index).find((other) => overlaps(family, other))
    if (twin) throw new TypeError(`the key families ${twin.pattern} and ${family.pattern} overlap`)
  }
  return [...families]
}

function overlaps(a: KeyFamily, b: KeyFamily): boolean {
  return a.glob === b.glob || a.matches(b.exampleKey) || b.matches(a.exampleKey)
}

function escapeId(id: string, pattern: string): string {
  // A lone surrogate becomes U+FFFD on its way to UTF-8: two different ids would be one key.
  if (id === '' || !id.isWellFormed())
    throw new TypeError(`an id of ${pattern} must ${id ? 'be well-formed Unicode' : 'not be empty'}`)
  return SPECIAL.test(id) ? id.replace(EVERY_SPECIAL, escapeCharacter) : id
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0)
  // Not `encodeURIComponent` alone: it leaves `*` as it is.
  return code < 128 ? `%${code.toString(16).toUpperCase().padStart(2, '0')}` : encodeURIComponent(character)
}
