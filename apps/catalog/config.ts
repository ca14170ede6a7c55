/** What the catalog is told through its environment. */
import {
  cacheConfig,
  commonConfig,
  databaseConfig,
  Integer,
  stateConfig,
  verifyIdentityConfig,
} from '@shop/service-kit/process/config'
import { type Static, Type } from 'typebox'

const minuteMs = 60_000

export const configSchema = Type.Object({
  ...commonConfig,
  ...databaseConfig,
  ...cacheConfig,
  ...stateConfig,
  ...verifyIdentityConfig,
  RESERVATION_TTL_MS: Integer({
    doc: 'How long pieces are reserved for an unpaid order',
    default: 15 * minuteMs,
    minimum: 1_000,
    maximum: 24 * 60 * minuteMs,
  }),
  RESERVATION_SWEEP_MS: Integer({
    doc: 'How often expired reservations are searched for',
    default: 5_000,
    minimum: 50,
    maximum: 10 * minuteMs,
  }),
  IMPORT_MAX_BYTES: Integer({ doc: 'Largest file of one import', default: 268_435_456, minimum: 1 }),
  IMPORT_IDLE_MS: Integer({
    doc: 'Longest silence during an import',
    default: 30_000,
    minimum: 100,
    maximum: 3_600_000,
  }),
})

export type Config = Static<typeof configSchema>
