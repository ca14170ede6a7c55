-- AlterTable
ALTER TABLE "orders" ALTER COLUMN "total_cents" SET DATA TYPE BIGINT;

-- AlterTable
ALTER TABLE "simulated_charges" ALTER COLUMN "amount_cents" SET DATA TYPE BIGINT;
