/**
 * API keys in Postgres. Each change raises `version` in its own statement, and `projected_version` follows when Redis has the change: a
 * key of which it is behind is still to be written there, whatever happened to the process that changed it.
 */
import type { ApiKeyQuota, ApiKeyScope } from '@shop/contracts/api-key'
import { type ApiKey, Prisma, type PrismaClient } from '../prisma/client/client.ts'

export type StoredApiKey = ApiKey

export interface AddedApiKey {
  id: string
  name: string
  digest: string
  scopes: readonly ApiKeyScope[]
  quota: ApiKeyQuota
  createdBy: string
  expiresAt?: Date
}

/** Where a page of keys ended. */
export interface ApiKeyPosition {
  createdAtMs: number
  id: string
}

/** Rows per statement, and writes to Redis at a time. */
const batchCount = 200
/** The transaction-wide lock of `add`: the count and the insert are one step. */
const capLock = 7_210_355_201

export type ApiKeyStore = ReturnType<typeof createApiKeyStore>

/** @param maxLiveCount keys that are neither revoked nor expired */
export function createApiKeyStore(prisma: PrismaClient, { maxLiveCount }: { maxLiveCount: number }) {
  return { ...createProjectionReader(prisma), add, byId, page, changeDigest, revoke }

  function add({ quota, scopes, ...key }: AddedApiKey): Promise<StoredApiKey | 'too-many' | 'id-taken'> {
    return prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(${capLock}::bigint)`
      if ((await tx.apiKey.count({ where: isLive() })) >= maxLiveCount) return 'too-many'
      if (await tx.apiKey.findUnique({ where: { id: key.id } })) return 'id-taken'
      return tx.apiKey.create({ data: { ...key, ...quota, scopes: [...scopes] } })
    })
  }

  function byId(id: string): Promise<StoredApiKey | null> {
    return prisma.apiKey.findUnique({ where: { id } })
  }

  /** Newest first, `limit` + 1 at most: the one too many tells that there is another page. */
  function page({ limit, after }: { limit: number; after?: ApiKeyPosition }): Promise<StoredApiKey[]> {
    const createdAt = after && new Date(after.createdAtMs)
    return prisma.apiKey.findMany({
      where: createdAt && { OR: [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: after.id } }] },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    })
  }

  /** Undefined unless the key is live. */
  async function changeDigest(id: string, digest: string): Promise<StoredApiKey | undefined> {
    const [row] = await prisma.apiKey.updateManyAndReturn({
      where: { id, ...isLive() },
      data: { digest, rotatedAt: new Date(), version: { increment: 1 } },
    })
    return row
  }

  /** Revoking twice is revoking: the first time stays. Null when there is no such key. */
  async function revoke(id: string): Promise<StoredApiKey | null> {
    const [row] = await prisma.apiKey.updateManyAndReturn({
      where: { id, revokedAt: null },
      data: { revokedAt: new Date(), version: { increment: 1 } },
    })
    return row ?? byId(id)
  }
}

/** The reads and notes of the projection. */
function createProjectionReader(prisma: PrismaClient) {
  return { pending, batchOfAll, markProjected }

  function pending(): Promise<StoredApiKey[]> {
    const behind = { projectedVersion: { lt: prisma.apiKey.fields.version } }
    return prisma.apiKey.findMany({ where: behind, orderBy: { id: 'asc' }, take: batchCount })
  }

  /**
   * The next keys by id, after `afterId`: those that Redis must have, and those that it might still have, because they were revoked after
   * `revokedSince`. An empty list ends the walk.
   */
  function batchOfAll({ afterId, revokedSince }: { afterId: string; revokedSince: Date }): Promise<StoredApiKey[]> {
    const revokedLately = { revokedAt: { gt: revokedSince } }
    return prisma.apiKey.findMany({
      where: { id: { gt: afterId }, OR: [isLive(), revokedLately] },
      orderBy: { id: 'asc' },
      take: batchCount,
    })
  }

  async function markProjected(rows: readonly Pick<StoredApiKey, 'id' | 'version'>[]): Promise<void> {
    if (rows.length === 0) return
    const done = Prisma.join(rows.map(({ id, version }) => Prisma.sql`(${id}, ${version}::int)`))
    await prisma.$executeRaw`
      UPDATE api_keys SET projected_version = done.version FROM (VALUES ${done}) AS done(id, version)
      WHERE api_keys.id = done.id AND api_keys.projected_version < done.version`
  }
}

function isLive() {
  return { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }] }
}
