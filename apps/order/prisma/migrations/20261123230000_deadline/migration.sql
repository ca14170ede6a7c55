-- AlterTable
ALTER TABLE "orders" ADD COLUMN     "waiting_since" TIMESTAMPTZ(3) NOT NULL DEFAULT statement_timestamp();

-- Written by hand: orders that have come to no end are few, however many there are.
CREATE INDEX "orders_waiting_idx" ON "orders"("waiting_since") WHERE "status" IN ('pending', 'reserved');
