/**
 * The store's edge: rows of Postgres as the code works with them. Sums are 64 bits there and plain numbers here. Statuses are text
 * there and the contract's words here, checked once, because a release may meet a word that only a newer one knows.
 */
import {
  Actor,
  CancelReason,
  CartReturn,
  OrderStatus,
  OrderStep,
  PaymentStatus,
  RefundStatus,
} from '@shop/contracts/order'
import type { Prisma } from '../prisma/client/client.ts'
import type { Step } from './order.ts'

export const withPublicParts = { lines: true, refund: true } as const
export const withLockedParts = { payment: true, refund: true } as const

type Row<Include extends Prisma.OrderInclude> = Prisma.OrderGetPayload<{ include: Include }>
type PublicRow = Row<typeof withPublicParts>
type LockedRow = Row<typeof withLockedParts>
type HistoryRow = PublicRow & LockedRow & { timeline: Prisma.TimelineEntryModel[] }

type Narrowed<Wide, Narrow> = Omit<Wide, keyof Narrow> & Narrow
type Order = Narrowed<
  Prisma.OrderModel,
  { status: OrderStatus; cancelReason: CancelReason | null; cartReturn: CartReturn | null; totalCents: number }
>
type Payment = Narrowed<Prisma.PaymentModel, { status: PaymentStatus }>
type Refund = Narrowed<Prisma.RefundModel, { status: RefundStatus }>
type Detail = NonNullable<Step['detail']>

export type StoredEntry = Narrowed<
  Prisma.TimelineEntryModel,
  { step: OrderStep; status: OrderStatus; by: Actor; detail: Detail }
>
export type StoredOrder = Order & { lines: Prisma.OrderLineModel[]; refund: Refund | null }
export type LockedOrder = Order & { payment: Payment | null; refund: Refund | null }
export type StoredHistory = StoredOrder & LockedOrder & { timeline: StoredEntry[] }

export function toStoredOrder(row: PublicRow): StoredOrder {
  return { ...toOrder(row), lines: row.lines, refund: row.refund && toRefund(row.refund) }
}

export function toLockedOrder(row: LockedRow): LockedOrder {
  return { ...toOrder(row), payment: row.payment && toPayment(row.payment), refund: row.refund && toRefund(row.refund) }
}

export function toHistory(row: HistoryRow): StoredHistory {
  return { ...toStoredOrder(row), ...toLockedOrder(row), timeline: row.timeline.map(toEntry) }
}

export function toEntry(row: Prisma.TimelineEntryModel): StoredEntry {
  return {
    ...row,
    step: wordOf(OrderStep, row.step),
    status: wordOf(OrderStatus, row.status),
    by: wordOf(Actor, row.by),
    detail: toDetail(row.detail),
  }
}

/** Values that the contract does not allow are left out: details are for people, and no rule depends on them. */
export function toDetail(detail: Prisma.JsonValue): Detail {
  const isPlain = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value)
  return Object.fromEntries(Object.entries(detail ?? {}).filter(([, value]) => isPlain(value)))
}

/** Throws a RangeError for a sum that a number cannot hold exactly; the limits of a cart stay far below. */
export function centsOf(sum: bigint): number {
  const cents = Number(sum)
  if (!Number.isSafeInteger(cents)) throw new RangeError(`${sum} cents exceed the range of a safe integer`)
  return cents
}

interface Words<Word extends string> {
  anyOf: readonly { const: Word }[]
}

/** Throws a RangeError for a word that the contract does not have: no rule could decide about it. */
export function wordOf<Word extends string>({ anyOf }: Words<Word>, text: unknown): Word {
  const found = anyOf.find((literal) => literal.const === text)
  if (!found) throw new RangeError(`${JSON.stringify(text)} is not one of ${anyOf.map((one) => one.const).join(', ')}`)
  return found.const
}

function toOrder(row: Prisma.OrderModel): Order {
  return {
    ...row,
    status: wordOf(OrderStatus, row.status),
    cancelReason: row.cancelReason === null ? null : wordOf(CancelReason, row.cancelReason),
    cartReturn: row.cartReturn === null ? null : wordOf(CartReturn, row.cartReturn),
    totalCents: centsOf(row.totalCents),
  }
}

function toPayment(row: Prisma.PaymentModel): Payment {
  return { ...row, status: wordOf(PaymentStatus, row.status) }
}

function toRefund(row: Prisma.RefundModel): Refund {
  return { ...row, status: wordOf(RefundStatus, row.status) }
}
