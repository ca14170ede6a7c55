/** The table in force in this process: the file's, with the overrides on top. */
import { createHash } from 'node:crypto'
import { ConfigError } from '@shop/service-kit/process/config'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { PolicySource, PolicyStore, PolicyTable } from './policy.ts'

interface Dependencies {
  /** The table that the process starts with. */
  source: PolicySource
  /** Reads the file again. Rejects with a ConfigError for one with mistakes. */
  read(): Promise<PolicySource>
  log: Log
}

export function createPolicyStore({ source, read, log }: Dependencies): PolicyStore {
  const listeners = new Set<(table: PolicyTable) => void>()
  let table = versioned(source)
  return { current: () => table, onChange, reload }

  function onChange(listener: (table: PolicyTable) => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async function reload(): Promise<void> {
    try {
      replace(await read())
      log.info({ version: table.version }, 'rate limits read again')
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      log.error({ problems: error.problems }, 'rate limits refused: the running ones stay')
    }
  }

  function replace(next: PolicySource): void {
    const { version } = table
    table = versioned(next)
    if (table.version === version) return
    for (const listener of listeners) listener(table)
  }
}

function versioned(source: PolicySource): PolicyTable {
  const version = createHash('sha256').update(JSON.stringify(source)).digest('base64url').slice(0, 12)
  return { ...source, version }
}
