-- AlterTable
ALTER TABLE "orders" ALTER COLUMN "cart_due_at" SET DEFAULT (statement_timestamp() + '00:00:05'::interval);
