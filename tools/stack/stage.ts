/** What every part of the demo is started with, and what it is afterwards. */
import type { DatabaseName } from '@shop/contracts/services'
import type { Supervisor } from './keep-alive.ts'
import type { StackOptions } from './options.ts'
import type { Secrets } from './secrets.ts'

export type DatabaseUrls = Record<DatabaseName, string>

export interface Stage {
  options: StackOptions
  secrets: Secrets
  undo: Undo
  supervisor: Supervisor
  /** Ends starts that are under way. */
  signal: AbortSignal
}

/** How to stop what was started so far, in the order it was started. */
export type Undo = (() => Promise<void> | void)[]

export interface Part {
  name: string
  port: number
  pid: number
  what: string
  log?: string
}
