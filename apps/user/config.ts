/** What the user service is told through its environment. */
import {
  commonConfig,
  databaseConfig,
  Integer,
  stateConfig,
  verifyIdentityConfig,
} from '@shop/service-kit/process/config'
import { type Static, Type } from 'typebox'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

export const configSchema = Type.Object({
  ...commonConfig,
  ...databaseConfig,
  ...stateConfig,
  ...verifyIdentityConfig,
  SESSION_IDLE_MS: Integer({
    doc: 'A new session ends after this time without a request',
    default: 7 * dayMs,
    minimum: 1_000,
    maximum: 90 * dayMs,
  }),
  SESSION_ABSOLUTE_MS: Integer({
    doc: 'A new session ends after this time, used or not',
    default: 30 * dayMs,
    minimum: 1_000,
    // What the sessions' key families declare.
    maximum: 90 * dayMs,
  }),
  SIGN_IN_LIMIT_COUNT: Integer({
    doc: 'Sign-in attempts per account and period',
    default: 10,
    minimum: 1,
    maximum: 10_000,
  }),
  SIGN_IN_LIMIT_PERIOD_MS: Integer({
    doc: 'The period of SIGN_IN_LIMIT_COUNT',
    default: 15 * minuteMs,
    minimum: 1_000,
    maximum: dayMs,
  }),
})

export type Config = Static<typeof configSchema>
