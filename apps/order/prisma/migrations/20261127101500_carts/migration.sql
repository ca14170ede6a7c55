-- AlterTable
ALTER TABLE "orders" ADD COLUMN     "cart_due_at" TIMESTAMPTZ(3),
ADD COLUMN     "cart_return" TEXT;

-- Written by hand: orders whose cart is to be seen to are few, however many there are.
CREATE INDEX "orders_cart_due_idx" ON "orders"("cart_due_at") WHERE "cart_due_at" IS NOT NULL;

ALTER TABLE "orders"
    ADD CONSTRAINT "orders_cart_return_check" CHECK ("cart_return" IN ('due', 'done', 'no-room'));
