-- AlterTable
ALTER TABLE "orders" ADD COLUMN     "confirmed_at" TIMESTAMPTZ(3),
ADD COLUMN     "step_count" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "payments" ADD COLUMN     "attempts" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "reference" TEXT;

-- AlterTable
ALTER TABLE "simulated_charges" ADD COLUMN     "callback_due_at" TIMESTAMPTZ(3),
ADD COLUMN     "callback_id" UUID NOT NULL DEFAULT gen_random_uuid(),
ADD COLUMN     "heard_count" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "refunds" (
    "order_id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'due',
    "round" INTEGER NOT NULL DEFAULT 1,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "refunds_pkey" PRIMARY KEY ("order_id")
);

-- CreateTable
CREATE TABLE "order_timeline" (
    "order_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "step" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "by" TEXT NOT NULL,
    "instance" TEXT NOT NULL,
    "cause_type" TEXT,
    "cause_id" TEXT,
    "told_type" TEXT,
    "told_id" TEXT,
    "detail" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "order_timeline_pkey" PRIMARY KEY ("order_id","number")
);

-- CreateIndex
CREATE INDEX "refunds_status_due_at_idx" ON "refunds"("status", "due_at");

-- CreateIndex
CREATE INDEX "simulated_charges_callback_due_at_idx" ON "simulated_charges"("callback_due_at");

-- AddForeignKey
ALTER TABLE "payments" ADD CONSTRAINT "payments_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "order_timeline" ADD CONSTRAINT "order_timeline_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Written by hand: orders that were confirmed before there was a column for it.
UPDATE "orders" SET "confirmed_at" = "updated_at" WHERE "status" = 'confirmed';

-- A payment is written down before the provider is asked; whether the money went back is said by refunds.
UPDATE "payments" SET "status" = 'approved' WHERE "status" = 'refunded';

ALTER TABLE "payments"
    DROP CONSTRAINT "payments_status_check",
    ADD CONSTRAINT "payments_status_check" CHECK ("status" IN ('asked', 'pending', 'approved', 'declined'));

ALTER TABLE "refunds"
    ADD CONSTRAINT "refunds_status_check" CHECK ("status" IN ('due', 'done'));

ALTER TABLE "orders"
    ADD CONSTRAINT "orders_confirmed_check" CHECK ("status" <> 'confirmed' OR "confirmed_at" IS NOT NULL);
