/** Stock and reservations in Postgres: one transaction per order and event. */
import { randomUUIDv7 } from 'node:crypto'
import { encodeEvent } from '@shop/service-kit/events'
import { once } from '@shop/service-kit/inbox'
import { enqueue } from '@shop/service-kit/outbox'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'
import { changeEvent } from '../products/events.ts'
import type { Announcement, Decision, Line, OrderStock, Reservation } from './stock.ts'

export interface StockStoreOptions {
  /** Name of the consumer group whose events are remembered. */
  group: string
  /** Where announcements go. */
  topic: string
  /** How long a reservation holds. */
  reservationTtlMs: number
}

export interface StockUpdate {
  orderId: string
  /** The event that causes it, whose effect is had once. Without it the rule itself must bear being repeated. */
  eventId?: string
  /** Of the event: goes on with what is announced. */
  origin?: Origin
  /** Products that the rule may take from, besides those that are reserved already. */
  skus?: readonly string[]
  rule(order: OrderStock): Decision
}

export interface StockOutcome {
  status: 'done' | 'duplicate' | 'busy'
  /** Products whose stock may have changed, also when a former delivery of the same event did it. */
  skus: string[]
}

/** For a connection, and for the whole transaction: orders for the same product wait for each other in it. */
const patience = { maxWait: 10_000, timeout: 10_000 }

type Transaction = Prisma.TransactionClient

export function createStockStore(prisma: PrismaClient, { group, topic, reservationTtlMs }: StockStoreOptions) {
  return { update, updateIfIdle, expiredOrders, forgetCancellations }

  /** Reads, decides and writes; rolls everything back when the rule throws. Updates of one order take turns in all instances. */
  function update(change: StockUpdate): Promise<StockOutcome> {
    return prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT pg_advisory_xact_lock(${lockOf(change.orderId)})::text`
      return apply(tx, change)
    }, patience)
  }

  /** As `update`, but leaves an order alone that is being worked on: status `busy`. */
  function updateIfIdle(change: StockUpdate): Promise<StockOutcome> {
    return prisma.$transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ isOurs: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${lockOf(change.orderId)}) AS "isOurs"`
      return lock?.isOurs ? apply(tx, change) : { status: 'busy', skus: [] }
    }, patience)
  }

  async function apply(tx: Transaction, change: StockUpdate): Promise<StockOutcome> {
    const { orderId, eventId, skus = [], rule } = change
    const isNew = eventId === undefined || (await once(tx, { group, eventId }))
    const reservations = await reservationsOf(tx, orderId)
    const reserved = reservations.map(({ sku }) => sku)
    if (!isNew) return { status: 'duplicate', skus: reserved }
    const wasCancelled = await isCancelled(tx, orderId)
    // Last, because from here on other orders for these products wait for us.
    const stockCounts = await lockProducts(tx, [...new Set([...skus, ...reserved])])
    const decision = rule({ isCancelled: wasCancelled, reservations, stockCounts })
    await write(tx, change, decision)
    const changed = [...(decision.take ?? []), ...(decision.giveBack ?? [])]
    return { status: 'done', skus: changed.map(({ sku }) => sku) }
  }

  async function write(tx: Transaction, { orderId, origin }: StockUpdate, decision: Decision) {
    const { take = [], giveBack = [], reservations = [], isCancelled, announce } = decision
    if (take.length > 0) await takeFromStock(tx, take)
    if (giveBack.length > 0) await returnToStock(tx, giveBack)
    if (reservations.length > 0) await saveReservations(tx, reservations, { orderId, ttlMs: reservationTtlMs })
    if (isCancelled)
      await tx.$executeRaw`
      INSERT INTO cancelled_orders (order_id) VALUES (${orderId}::uuid) ON CONFLICT DO NOTHING`
    if (announce) await enqueue(tx, { topic, key: orderId, ...eventOf(orderId, announce, origin) })
    const changed = [...take, ...giveBack].map(({ sku }) => sku)
    // Not by `enqueue`: it needs no order, and others wait for these products until we commit.
    if (changed.length > 0) await tx.outboxEvent.create({ data: changeEvent({ skus: changed }, origin) })
  }

  /** The longest overdue first. */
  async function expiredOrders(limit: number): Promise<string[]> {
    const rows = await prisma.$queryRaw<{ orderId: string }[]>`
      SELECT order_id AS "orderId" FROM reservations WHERE status = 'reserved' AND expires_at <= now()
      GROUP BY order_id ORDER BY min(expires_at) LIMIT ${limit}`
    return rows.map(({ orderId }) => orderId)
  }

  /** An order.placed can hardly be so late; if it is (redriven from the dead letters, say), what it reserves expires. */
  function forgetCancellations(olderThanMs: number): Promise<number> {
    const before = new Date(Date.now() - olderThanMs)
    return prisma.$executeRaw`
      DELETE FROM cancelled_orders WHERE order_id IN (
        SELECT order_id FROM cancelled_orders WHERE cancelled_at < ${before}::timestamptz LIMIT ${forgetBatchSize})`
  }
}

const forgetBatchSize = 10_000

export type StockStore = ReturnType<typeof createStockStore>

/** An advisory lock goes by a number of 64 bits; that two orders share one costs a wait and nothing else. */
const lockOf = (orderId: string) => Prisma.sql`hashtextextended(${orderId}, 0)`

function reservationsOf(tx: Transaction, orderId: string): Promise<Reservation[]> {
  return tx.$queryRaw`
    SELECT sku, quantity, status FROM reservations WHERE order_id = ${orderId}::uuid ORDER BY sku`
}

/** Locks the rows in the order of their skus, so that no two transactions wait for each other. */
async function lockProducts(tx: Transaction, skus: string[]): Promise<Map<string, number>> {
  if (skus.length === 0) return new Map()
  const rows = await tx.$queryRaw<{ sku: string; stockCount: number }[]>`
    SELECT sku, stock_count AS "stockCount" FROM products WHERE sku = ANY(${skus})
    ORDER BY sku FOR NO KEY UPDATE`
  return new Map(rows.map(({ sku, stockCount }) => [sku, stockCount]))
}

async function isCancelled(tx: Transaction, orderId: string): Promise<boolean> {
  return (await tx.cancelledOrder.count({ where: { orderId } })) > 0
}

/** The condition repeats what the rule has checked: the stock never goes below zero, not even by a mistake in a rule. */
async function takeFromStock(tx: Transaction, lines: readonly Line[]) {
  const count = await tx.$executeRaw`
    UPDATE products SET stock_count = stock_count - line.quantity, updated_at = now()
    FROM ${asTable(lines)} AS line(sku, quantity)
    WHERE products.sku = line.sku AND stock_count >= line.quantity`
  if (count !== lines.length) throw new Error(`took ${count} of ${lines.length} lines from the stock`)
}

/** Pieces of a product that was withdrawn meanwhile have nowhere to go. */
async function returnToStock(tx: Transaction, lines: readonly Line[]) {
  await tx.$executeRaw`
    UPDATE products SET stock_count = stock_count + line.quantity, updated_at = now()
    FROM ${asTable(lines)} AS line(sku, quantity) WHERE products.sku = line.sku`
}

async function saveReservations(
  tx: Transaction,
  rows: readonly Reservation[],
  { orderId, ttlMs }: { orderId: string; ttlMs: number },
) {
  const expiresAt = Prisma.sql`now() + ${ttlMs}::int * interval '1 millisecond'`
  await tx.$executeRaw`
    INSERT INTO reservations (order_id, sku, quantity, status, expires_at)
    SELECT ${orderId}::uuid, sku, quantity, status, ${expiresAt}
    FROM unnest(${rows.map(({ sku }) => sku)}::text[], ${rows.map(({ quantity }) => quantity)}::int[],
      ${rows.map(({ status }) => status)}::text[]) AS row(sku, quantity, status)
    ON CONFLICT (order_id, sku) DO UPDATE SET status = excluded.status`
}

function asTable(lines: readonly Line[]) {
  return Prisma.sql`unnest(${lines.map(({ sku }) => sku)}::text[], ${lines.map(({ quantity }) => quantity)}::int[])`
}

function eventOf(orderId: string, { type, ...details }: Announcement, origin?: Origin) {
  const id = randomUUIDv7()
  const body = encodeEvent({ id, type, data: { orderId, ...details } }, origin)
  return { eventId: id, type, body }
}
