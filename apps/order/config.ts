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
    doc: 'A cart is forgotten this long after its last change',
    default: 30 * dayMs,
    minimum: 1_000,
    // What the cart's key family declares.
    maximum: 365 * dayMs,
  }),
  CANCEL_WINDOW_MS: Integer({
    doc: 'How long after its confirmation an order can be cancelled and the money given back; 0 for not at all',
    default: 30 * minuteMs,
    minimum: 0,
    maximum: 30 * dayMs,
  }),
  ORDER_DEADLINE_MS: Integer({
    doc: 'An order that has come to no end so long after it was placed is cancelled; longer than RESERVATION_TTL_MS, and than outages that orders are to survive',
    default: 30 * minuteMs,
    minimum: 1_000,
    maximum: 7 * dayMs,
  }),
  ORDER_SWEEP_MS: Integer({
    doc: 'How often orders that are past their deadline are looked for',
    default: 10_000,
    minimum: 50,
    maximum: 10 * minuteMs,
  }),
  STREAM_MAX_COUNT: Integer({
    doc: 'Streams (events of orders) that may be open',
    default: 1_000,
    minimum: 1,
  }),
  PAYMENT_TIMEOUT_MS: Integer({
    doc: 'Longest wait for the payment provider',
    default: 1_000,
    minimum: 10,
    maximum: 60_000,
  }),
})

export type Config = Static<typeof configSchema>
