/** The shop's streams through its public API, as an administrator. */
import type {
  DeadLetter,
  DeadLetterDetail,
  DeadLetterPage,
  Redriven,
  RedrivenAll,
  StreamOverview,
} from '@shop/contracts/streams'
import { type AdminSession, reasonOf } from '../command-line/admin-session.ts'

const pageCount = 100

export type StreamConsole = ReturnType<typeof createStreamConsole>

/** Every verb rejects with a sentence: what the shop has said, or why it has said nothing. */
export function createStreamConsole(admin: AdminSession) {
  return { overview, letters, letter, redrive, redriveAll, discard }

  function overview(): Promise<StreamOverview> {
    return ask('GET', '')
  }

  async function letters(topic: string, limit: number): Promise<{ items: DeadLetter[]; hasMore: boolean }> {
    const items: DeadLetter[] = []
    let cursor: string | null = null
    do {
      const query = new URLSearchParams({
        limit: String(Math.min(pageCount, limit - items.length)),
        ...(cursor && { cursor }),
      })
      const page: DeadLetterPage = await ask('GET', `/${encodeURIComponent(topic)}/dead?${query}`)
      items.push(...page.items)
      cursor = page.nextCursor
    } while (cursor !== null && items.length < limit)
    return { items, hasMore: cursor !== null }
  }

  function letter(topic: string, id: string): Promise<DeadLetterDetail> {
    return ask('GET', pathOf(topic, id))
  }

  function redrive(topic: string, id: string): Promise<Redriven> {
    return ask('POST', `${pathOf(topic, id)}/redrive`)
  }

  /** As many as there were: those that are given up again meanwhile are not sent round and round. */
  async function redriveAll(topic: string, count: number): Promise<RedrivenAll> {
    let redrivenCount = 0
    for (;;) {
      const limit = Math.min(1_000, count - redrivenCount)
      const done: RedrivenAll = await ask('POST', `/${encodeURIComponent(topic)}/dead/redrive?limit=${limit}`)
      redrivenCount += done.redrivenCount
      if (done.redrivenCount === 0 || redrivenCount >= count) return { ...done, redrivenCount }
    }
  }

  async function discard(topic: string, id: string): Promise<void> {
    await ask('DELETE', pathOf(topic, id))
  }

  async function ask<Answer>(method: string, path: string): Promise<Answer> {
    const signal = AbortSignal.timeout(15_000)
    const answer = await admin.request(`/api/console/streams${path}`, { method, signal })
    if (!answer.ok) throw new Error(await reasonOf(answer))
    return (answer.status === 204 ? undefined : await answer.json()) as Answer
  }
}

function pathOf(topic: string, id: string): string {
  return `/${encodeURIComponent(topic)}/dead/${encodeURIComponent(id)}`
}
