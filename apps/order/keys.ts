/** Every key and channel of the order service, and the catalog's topic that it reads. */
import { topics } from '@shop/contracts/topics'
import { idempotencyKeys } from '@shop/redis-kit/idempotency'
import { distinctFamilies } from '@shop/redis-kit/keys'
import { lockKeys } from '@shop/redis-kit/lock'
import { channelKeys } from '@shop/redis-kit/pubsub'
import { leakyQueueKeys } from '@shop/redis-kit/rate-limit/queue'
import { topicKeys } from '@shop/redis-kit/stream'
import { cartKeys } from './cart/cart.ts'

const { orderEvents, catalogStock } = topics

export const keys = {
  cart: cartKeys('order'),
  checkout: idempotencyKeys('order', 'checkout'),
  status: channelKeys('order', 'status'),
  cleanup: lockKeys('order', 'cleanup'),
  paymentCalls: leakyQueueKeys('order', 'payment', 'state'),
  orderEvents: topicKeys(orderEvents.service, orderEvents.entity, orderEvents),
  catalogStock: topicKeys(catalogStock.service, catalogStock.entity, catalogStock),
}

export const keyFamilies = distinctFamilies([
  keys.cart,
  keys.checkout,
  keys.status,
  ...Object.values(keys.cleanup),
  keys.paymentCalls,
  ...keys.orderEvents.families,
])
