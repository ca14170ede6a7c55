/** Rows of orders as the code works with them. Sums of money are 64 bits in Postgres and plain numbers here. */
import type { Prisma } from '../prisma/client/client.ts'

export const withPublicParts = { lines: true, refund: true } as const

type OrderRow<Include extends Prisma.OrderInclude> = WithCents<Prisma.OrderGetPayload<{ include: Include }>>
export type StoredOrder = OrderRow<typeof withPublicParts>
export type StoredHistory = OrderRow<{ lines: true; payment: true; refund: true; timeline: true }>
export type LockedOrder = OrderRow<{ payment: true; refund: true }>
export type StoredEntry = Prisma.TimelineEntryGetPayload<object>

type WithCents<Row> = Omit<Row, 'totalCents'> & { totalCents: number }

export function withCents<Row extends { totalCents: bigint }>(row: Row): WithCents<Row> {
  return { ...row, totalCents: centsOf(row.totalCents) }
}

/** Throws a RangeError for a sum that a number cannot hold exactly; the limits of a cart stay far below. */
export function centsOf(sum: bigint): number {
  const cents = Number(sum)
  if (!Number.isSafeInteger(cents)) throw new RangeError(`${sum} cents are more than a number can hold`)
  return cents
}
