/** The table in force in this process: the file's, with the overrides on top. */
import { createHash } from 'node:crypto'
import { ConfigError } from '@shop/service-kit/process/config'
import type { Log } from '@shop/service-kit/telemetry/log'
import { type Effective, withOverrides } from './overrides/effective.ts'
import type { StoredOverride } from './overrides/overrides.ts'
import type { PolicySource, PolicyStore, PolicyTable } from './policy.ts'

interface Dependencies {
  /** The table that the process starts with. */
  source: PolicySource
  /** Reads the file again. Rejects with a ConfigError for one with mistakes. */
  read(): Promise<PolicySource>
  log: Log
}

/** A table with its overrides, for the console. */
export interface OverriddenTable extends Effective {
  file: PolicySource
  table: PolicyTable
}

export interface OverriddenPolicyStore extends PolicyStore {
  details(): OverriddenTable
  /** Replaces all overrides. Those that do not fit are left out and logged, each once. */
  override(stored: readonly StoredOverride[]): void
}

export function createPolicyStore({ source, read, log }: Dependencies): OverriddenPolicyStore {
  const listeners = new Set<(table: PolicyTable) => void>()
  let file = source
  let overrides: readonly StoredOverride[] = []
  let effective = withOverrides(file, overrides)
  let table = versioned(effective.source)
  let warned = new Set<string>()
  return {
    current: () => table,
    details: () => ({ ...effective, file, table }),
    onChange,
    override,
    reload,
  }

  function onChange(listener: (table: PolicyTable) => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async function reload(): Promise<void> {
    try {
      file = await read()
      apply()
      log.info({ version: table.version }, 'rate limits read again')
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      log.error({ problems: error.problems }, 'rate limits refused: the running ones stay')
    }
  }

  function override(stored: readonly StoredOverride[]): void {
    overrides = stored
    apply()
  }

  function apply(): void {
    const { version } = table
    effective = withOverrides(file, overrides)
    table = versioned(effective.source)
    warnOfUnused()
    if (table.version === version) return
    log.info({ version: table.version, overrides: [...effective.applied.keys()] }, 'rate limits changed')
    for (const listener of listeners) listener(table)
  }

  function warnOfUnused(): void {
    const before = warned
    warned = new Set(effective.unused.map((unused) => JSON.stringify(unused)))
    for (const unused of effective.unused) {
      if (!before.has(JSON.stringify(unused))) log.warn(unused, 'rate limit override ignored')
    }
  }
}

function versioned(source: PolicySource): PolicyTable {
  const version = createHash('sha256').update(JSON.stringify(source)).digest('base64url').slice(0, 12)
  return { ...source, version }
}
