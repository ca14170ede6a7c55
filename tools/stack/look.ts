/**
 * The variables that the lines under "Look at it" use, on the page of each pattern: CACHE and STATE are the Redis servers of the demo
 * as the read-only user `viewer`, ORDER_DB is the database of the orders in read-only transactions, SHOP is the gateway.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Stack } from './start.ts'

export type LookUrls = Partial<Record<'CACHE' | 'STATE' | 'ORDER_DB' | 'SHOP', string>>

export const lookFileName = 'look.env'

/** A Redis that is not of the demo has no such user and is left out. */
export function lookUrls({ url, viewerUrls: { cache, state }, databaseUrls }: Stack): LookUrls {
  return {
    ...(cache !== undefined && { CACHE: cache }),
    ...(state !== undefined && { STATE: state }),
    ORDER_DB: readOnly(databaseUrls.order),
    SHOP: url,
  }
}

/** Shell assignments, for `. .data/look.env`; readable by their owner only. */
export function writeLookFile(dataDir: string, urls: LookUrls): void {
  const file = join(dataDir, lookFileName)
  const lines = Object.entries(urls).map(([name, url]) => `${name}='${url.replaceAll("'", '%27')}'\n`)
  rmSync(`${file}.new`, { force: true }) // a leftover would keep its own mode
  writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** `psql` passes the option to the server. It protects against slips of the hand: the role itself may write. */
function readOnly(databaseUrl: string): string {
  const url = new URL(databaseUrl)
  // Not by searchParams, which write a blank as `+`: psql takes that for a plus.
  const option = `options=${encodeURIComponent('-c default_transaction_read_only=on')}`
  return `${url.href}${url.search === '' ? '?' : '&'}${option}`
}
