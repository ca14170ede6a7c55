/** What the order service is told through its environment. */
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
  CART_TTL_MS: Integer({
    doc: 'A cart expires this long after its last change',
    default: 30 * dayMs,
    minimum: 1_000,
    // What the cart's key family declares.
    maximum: 365 * dayMs,
  }),
  CANCEL_WINDOW_MS: Integer({
    doc: 'How long a confirmed order can be cancelled and refunded; 0 disables cancelling',
    default: 30 * minuteMs,
    minimum: 0,
    maximum: 30 * dayMs,
  }),
  ORDER_DEADLINE_MS: Integer({
    doc: 'Age at which an unfinished order is cancelled; longer than RESERVATION_TTL_MS and than outages that orders must survive',
    default: 30 * minuteMs,
    minimum: 1_000,
    maximum: 7 * dayMs,
  }),
  ORDER_SWEEP_MS: Integer({
    doc: 'How often orders past their deadline are searched for',
    default: 10_000,
    minimum: 50,
    maximum: 10 * minuteMs,
  }),
  STREAM_MAX_COUNT: Integer({
    doc: 'Most open streams (events of orders)',
    default: 1_000,
    minimum: 1,
  }),
  PAYMENT_TIMEOUT_MS: Integer({
    doc: 'Longest wait for the payment provider, and before that for the turn to call it',
    default: 1_000,
    minimum: 10,
    maximum: 60_000,
  }),
  PAYMENT_RATE_PER_SECOND: Integer({
    doc: 'Most calls to the payment provider per second, of all instances, evenly spaced',
    default: 1_000,
    minimum: 1,
    maximum: 10_000,
  }),
})

export type Config = Static<typeof configSchema>
