/** Makes a real server of a test's own refuse writes, named by the first word of its reply, and accept them again. */
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { vi } from 'vitest'

interface Refusal {
  harm(admin: Redis): Promise<unknown>
  heal(admin: Redis): Promise<unknown>
}

const causes = {
  READONLY: {
    harm: (admin) => admin.replicaof('127.0.0.1', 1),
    heal: (admin) => admin.replicaof('NO', 'ONE'),
  },
  NOREPLICAS: {
    harm: (admin) => admin.config('SET', 'min-replicas-to-write', '1'),
    heal: (admin) => admin.config('SET', 'min-replicas-to-write', '0'),
  },
  /** Full: with noeviction, or with nothing left to evict. */
  OOM: {
    harm: (admin) => admin.config('SET', 'maxmemory', '1'),
    heal: (admin) => admin.config('SET', 'maxmemory', '0'),
  },
  MISCONF: {
    async harm(admin) {
      await mkdir(await snapshotOf(admin)) // a file cannot be renamed to the name of a folder
      await admin.config('SET', 'save', '3600 1000000')
      await saved(admin, 'err')
    },
    async heal(admin) {
      await rmdir(await snapshotOf(admin))
      await saved(admin, 'ok')
    },
  },
} as const satisfies Record<string, Refusal>

export type RefusalWord = keyof typeof causes
export const refusalWords = Object.keys(causes) as RefusalWord[]

/** Resolves to the way to heal the server. `url` is that of a user with all rights. */
export async function refuseWrites(url: string, word: RefusalWord): Promise<() => Promise<void>> {
  const cause = causes[word]
  await asAdmin(url, cause.harm)
  return () => asAdmin(url, cause.heal)
}

async function asAdmin(url: string, work: (admin: Redis) => Promise<unknown>): Promise<void> {
  const admin = new Redis(url)
  admin.on('error', () => {}) // told by the command that fails
  try {
    await work(admin)
  } finally {
    admin.disconnect()
  }
}

async function snapshotOf(admin: Redis): Promise<string> {
  const [, dir] = (await admin.config('GET', 'dir')) as [string, string]
  return join(dir, 'dump.rdb')
}

async function saved(admin: Redis, status: 'ok' | 'err'): Promise<void> {
  await admin.bgsave()
  const isSaved = async () => (await admin.info('persistence')).includes(`rdb_last_bgsave_status:${status}`)
  await vi.waitUntil(isSaved, { timeout: 15_000, interval: 10 })
}
