/**
 * Orders in Postgres. Each change of an order, its entry in the timeline and the event that tells of it are one transaction, in which
 * the order's row is locked: changes of one order take turns in all instances.
 */
import { randomUUIDv7 } from 'node:crypto'
import type { CancelReason, RefundStatus } from '@shop/contracts/order'
import { encodeEvent } from '@shop/service-kit/events'
import { once } from '@shop/service-kit/inbox'
import { enqueue } from '@shop/service-kit/outbox'
import { type Origin, originIn } from '@shop/service-kit/telemetry/origin'
import { keys } from '../keys.ts'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'
import type { Decision, OrderState, Step } from './order.ts'
import { createOrderReader } from './reader.ts'
import { type LockedOrder, type StoredOrder, toDetail, toLockedOrder, withLockedParts } from './row.ts'

type Transaction = Prisma.TransactionClient

/** What was heard that causes a change. */
export interface Cause {
  type: string
  id: string
}

export interface UpdateOptions {
  cause?: Cause
  /** The request that it goes back to. @default that of the step before it, for what nobody asked */
  origin?: Origin
  /** The inbox' group: a cause that was heard before changes nothing. For causes that may not be heard twice by their own meaning. */
  onceIn?: string
  /** Leaves an order alone that somebody is working on just now. @default waits for them */
  onlyIfIdle?: boolean
}

export interface Outcome {
  decision: Decision
  /** As it was before. */
  order: LockedOrder
}

export interface OrderStoreOptions {
  /** Who writes: stands in the timeline. */
  instance: string
  /** After each commit that changed an order; `number` is that of the newest entry in its timeline. Must not throw. */
  onChanged?: (change: { orderId: string; number: number; decision: Decision }) => void
}

/** For a connection, and for the whole transaction: changes of one order wait for each other in it. */
const patience = { maxWait: 5_000, timeout: 10_000 }

export function createOrderStore(prisma: PrismaClient, { instance, onChanged = () => {} }: OrderStoreOptions) {
  return { ...createOrderReader(prisma), update }

  /** Reads, decides and writes. Undefined when there is no such order, when its cause was heard before, or when it is not idle. */
  async function update(
    id: string,
    rule: (order: OrderState) => Decision,
    options: UpdateOptions = {},
  ): Promise<Outcome | undefined> {
    const outcome = await prisma.$transaction((tx) => apply(tx, { id, rule, ...options }), patience)
    if (!outcome) return undefined
    const { decision, order } = outcome
    const stepCount = decision.steps.length
    if (stepCount > 0) onChanged({ orderId: id, number: order.stepCount + stepCount, decision })
    return outcome
  }

  async function apply(tx: Transaction, update: Update): Promise<Outcome | undefined> {
    const { id, rule, cause, origin, onceIn, onlyIfIdle = false } = update
    if (!(await lock(tx, id, onlyIfIdle))) return undefined
    const row = await tx.order.findUnique({ where: { id }, include: withLockedParts })
    if (!row) return undefined
    const order = toLockedOrder(row)
    if (cause && onceIn && !(await once(tx, { group: onceIn, eventId: cause.id }))) return undefined
    const decision = rule(order)
    if (decision.steps.length > 0) await write(tx, { order, decision, cause, origin })
    return { decision, order }
  }

  async function write(tx: Transaction, { order, decision, cause, origin }: Change) {
    const { id } = order
    const { status = order.status, cancelReason, payment, refund, steps, tell } = decision
    await saveOrder(tx, order, decision)
    if (payment)
      await tx.payment.upsert({ where: { orderId: id }, create: { orderId: id, ...payment }, update: payment })
    if (refund) await saveRefund(tx, id, refund)
    const from = origin?.requestId === undefined ? await originBefore(tx, order) : origin
    const told = tell && (await announce(tx, order, { type: tell, reason: cancelReason, origin: from }))
    const entry = { orderId: id, status, instance, causeType: cause?.type, causeId: cause?.id }
    await tx.timelineEntry.createMany({
      data: steps.map(({ step, by, detail }, index) => ({
        ...entry,
        number: order.stepCount + 1 + index,
        step,
        by,
        detail: withRequestId(detail, from),
        ...(tell === `order.${step}` && { toldType: tell, toldId: told }),
      })),
    })
  }
}

export type OrderStore = ReturnType<typeof createOrderStore>

interface Update extends UpdateOptions {
  id: string
  rule(order: OrderState): Decision
}

interface Change extends Outcome {
  cause?: Cause
  origin?: Origin
}

function saveOrder(tx: Transaction, { id, status }: LockedOrder, decision: Decision) {
  const { cancelReason, cartReturn, steps, tell } = decision
  return tx.order.update({
    where: { id },
    data: {
      status: decision.status ?? status,
      ...(cancelReason && { cancelReason }),
      ...(cartReturn && { cartReturn, cartDueAt: cartReturn === 'due' ? new Date(0) : null }),
      ...(tell === 'order.confirmed' && { confirmedAt: new Date() }),
      stepCount: { increment: steps.length },
    },
  })
}

/** False when there is no such order, or when it is not idle. */
async function lock(tx: Transaction, id: string, onlyIfIdle: boolean): Promise<boolean> {
  const wait = onlyIfIdle ? Prisma.sql`SKIP LOCKED` : Prisma.empty
  return (await tx.$executeRaw`SELECT FROM orders WHERE id = ${id}::uuid FOR UPDATE ${wait}`) > 0
}

function saveRefund(tx: Transaction, orderId: string, status: RefundStatus) {
  if (status === 'done') return tx.refund.update({ where: { orderId }, data: { status } })
  const due = { status, attempts: 0, dueAt: new Date(0) } // due now, by any clock
  return tx.refund.upsert({
    where: { orderId },
    create: { orderId, ...due },
    update: { ...due, round: { increment: 1 } },
  })
}

async function announce(
  tx: Transaction,
  { id, userId, totalCents, confirmedAt }: LockedOrder,
  { type, reason, origin }: { type: NonNullable<Decision['tell']>; reason?: CancelReason; origin: Origin },
): Promise<string> {
  const lines = await tx.orderLine.findMany({ where: { orderId: id } })
  const wasConfirmed = type === 'order.cancelled' && { reason, wasConfirmed: confirmedAt !== null }
  const data = { ...orderData({ id, userId, totalCents, lines }), ...wasConfirmed }
  return tell(tx, { orderId: id, type, data, origin })
}

/** A callback, a deadline: of what nobody asked the request is the one that led there. */
async function originBefore(tx: Transaction, { id, stepCount }: LockedOrder): Promise<Origin> {
  const where = { orderId_number: { orderId: id, number: stepCount } }
  const entry = await tx.timelineEntry.findUnique({ where, select: { detail: true } })
  return originIn({ requestId: entry && toDetail(entry.detail).requestId })
}

/** The timeline keeps the id with the details of a step. */
export function withRequestId(detail: Step['detail'], { requestId }: Origin) {
  return { ...detail, ...(requestId !== undefined && { requestId }) }
}

interface News {
  orderId: string
  type: string
  data: object
  origin: Origin
}

/** Into the outbox, in the transaction of the change that it tells of. Returns the event's id. */
export async function tell(tx: Transaction, { orderId, type, data, origin }: News): Promise<string> {
  const eventId = randomUUIDv7()
  const body = encodeEvent({ id: eventId, type, data }, origin)
  await enqueue(tx, { eventId, topic: keys.orderEvents.name, key: orderId, type, body })
  return eventId
}

/** The part that all events of an order have in common. */
export function orderData(order: Pick<StoredOrder, 'id' | 'userId' | 'totalCents' | 'lines'>) {
  return {
    orderId: order.id,
    userId: order.userId,
    items: order.lines.map(({ sku, quantity }) => ({ sku, quantity })),
    totalCents: order.totalCents,
  }
}
