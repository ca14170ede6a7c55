/** How a real server is brought to refuse writes, by the word of its reply, and how it is brought to accept them again. */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'

export interface Refusal {
  config?: Record<string, string>
  harm(direct: Redis): Promise<unknown>
  heal(direct: Redis): Promise<unknown>
}

export const refusingWrites = {
  READONLY: { harm: (direct) => direct.replicaof('127.0.0.1', 1), heal: (direct) => direct.replicaof('NO', 'ONE') },
  NOREPLICAS: {
    harm: (direct) => direct.config('SET', 'min-replicas-to-write', 1),
    heal: (direct) => direct.config('SET', 'min-replicas-to-write', 0),
  },
  OOM: {
    harm: (direct) => direct.config('SET', 'maxmemory', 1),
    heal: (direct) => direct.config('SET', 'maxmemory', 0),
  },
  MISCONF: {
    config: { save: '3600 1' },
    async harm(direct) {
      const [, dir] = (await direct.config('GET', 'dir')) as [string, string]
      await rm(dir, { recursive: true })
      await direct.set('dirty', '1')
      await direct.bgsave()
      const deadlineMs = performance.now() + 15_000
      while (!(await direct.info('persistence')).includes('rdb_last_bgsave_status:err')) {
        if (performance.now() > deadlineMs) throw new Error('the snapshot has not failed within 15 s')
        await sleep(20)
      }
    },
    heal: (direct) => direct.config('SET', 'save', ''),
  },
} satisfies Record<string, Refusal>
