/** Where and with what something was measured: without it a figure says nothing. */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'

export interface Machine {
  cpu: string
  coreCount: number
  memoryGiB: number
  platform: string
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    coreCount: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
  }
}

/** Processes that wanted a core, on average over the last 1, 5 and 15 minutes. */
export function loadNow(): number[] {
  return loadavg().map((load) => Math.round(load * 100) / 100)
}

/** Of what is installed, which is what is measured; not of what package.json asks for. */
export function versionsOf(packages: readonly string[]): Record<string, string> {
  return Object.fromEntries(packages.map((name) => [name, versionOf(name)]))
}

function versionOf(name: string): string {
  const path = findPackageJSON(name, import.meta.url)
  if (!path) throw new Error(`${name} is not installed: run \`npm install\``)
  return JSON.parse(readFileSync(path, 'utf8')).version
}
