/** Policy files for tests: the shop's own, with other numbers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { parse, stringify } from 'yaml'
import { defaultPolicyFile } from './policy-file/policy-file.ts'

interface PolicyFile {
  rules: { routes: readonly string[] | 'all'; dimension: string; policies: Record<string, unknown>[] }[]
  bulkheads: Record<string, unknown>[]
  maxConnectionsPerAddress: number
}

const folder = mkdtempSync(join(tmpdir(), 'shop-policies-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let fileCount = 0

export type PolicyChanges = Record<string, Record<string, unknown>>

/**
 * The text of the shop's policies with changed fields of named policies: `{ address: { limit: '1 per 1s', burst: 5 } }`.
 * @param change may change the rest
 */
export function policyText(changes: PolicyChanges, change: (file: PolicyFile) => void = () => {}): string {
  const file = parse(readFileSync(defaultPolicyFile, 'utf8')) as PolicyFile
  const policies = file.rules.flatMap((rule) => rule.policies)
  for (const [name, fields] of Object.entries(changes)) {
    const policy = policies.find((one) => one.name === name)
    if (policy === undefined) throw new TypeError(`policies.yaml has no policy ${name}`)
    Object.assign(policy, fields)
  }
  change(file)
  return stringify(file)
}

/** Writes such a text to a file that is removed after the tests of the importing file. */
export function policyFile(changes: PolicyChanges, change?: (file: PolicyFile) => void): string {
  fileCount += 1
  const path = join(folder, `policies-${fileCount}.yaml`)
  writeFileSync(path, policyText(changes, change))
  return path
}

/** A change of the file: the largest body of an import. */
export const limitImports = (bodyMaxBytes: string) => (file: PolicyFile) => {
  for (const bulkhead of file.bulkheads) {
    if (Array.isArray(bulkhead.routes) && bulkhead.routes.includes('import')) bulkhead.bodyMaxBytes = bodyMaxBytes
  }
}
