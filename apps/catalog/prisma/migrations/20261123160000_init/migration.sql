-- CreateTable
CREATE TABLE "categories" (
    "slug" TEXT NOT NULL,
    "name" TEXT NOT NULL,

    CONSTRAINT "categories_pkey" PRIMARY KEY ("slug")
);

-- CreateTable
CREATE TABLE "products" (
    "sku" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "category" TEXT NOT NULL,
    "price_cents" INTEGER NOT NULL,
    "stock_count" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "products_pkey" PRIMARY KEY ("sku")
);

-- CreateTable
CREATE TABLE "reservations" (
    "order_id" UUID NOT NULL,
    "sku" TEXT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'reserved',
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reservations_pkey" PRIMARY KEY ("order_id","sku")
);

-- CreateTable
CREATE TABLE "cancelled_orders" (
    "order_id" UUID NOT NULL,
    "cancelled_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "cancelled_orders_pkey" PRIMARY KEY ("order_id")
);

-- CreateTable
CREATE TABLE "outbox" (
    "id" BIGSERIAL NOT NULL,
    "event_id" UUID NOT NULL,
    "topic" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "published_at" TIMESTAMPTZ(3),

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "inbox" (
    "group" TEXT NOT NULL,
    "event_id" UUID NOT NULL,
    "processed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inbox_pkey" PRIMARY KEY ("group","event_id")
);

-- CreateIndex
CREATE INDEX "products_name_sku_idx" ON "products"("name", "sku");

-- CreateIndex
CREATE INDEX "products_price_cents_sku_idx" ON "products"("price_cents", "sku");

-- CreateIndex
CREATE INDEX "products_created_at_sku_idx" ON "products"("created_at", "sku");

-- CreateIndex
CREATE INDEX "products_category_name_sku_idx" ON "products"("category", "name", "sku");

-- CreateIndex
CREATE INDEX "products_category_price_cents_sku_idx" ON "products"("category", "price_cents", "sku");

-- CreateIndex
CREATE INDEX "products_category_created_at_sku_idx" ON "products"("category", "created_at", "sku");

-- CreateIndex
CREATE INDEX "reservations_status_expires_at_idx" ON "reservations"("status", "expires_at");

-- CreateIndex
CREATE INDEX "cancelled_orders_cancelled_at_idx" ON "cancelled_orders"("cancelled_at");

-- CreateIndex
CREATE UNIQUE INDEX "outbox_event_id_key" ON "outbox"("event_id");

-- CreateIndex
CREATE INDEX "outbox_published_at_id_idx" ON "outbox"("published_at", "id");

-- AddForeignKey
ALTER TABLE "products" ADD CONSTRAINT "products_category_fkey" FOREIGN KEY ("category") REFERENCES "categories"("slug") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Written by hand: the last line of defence against an oversell, whatever the code above it does.
ALTER TABLE "products"
    ADD CONSTRAINT "products_price_cents_check" CHECK ("price_cents" >= 0),
    ADD CONSTRAINT "products_stock_count_check" CHECK ("stock_count" >= 0);

ALTER TABLE "reservations"
    ADD CONSTRAINT "reservations_quantity_check" CHECK ("quantity" > 0),
    ADD CONSTRAINT "reservations_status_check" CHECK ("status" IN ('reserved', 'sold', 'released', 'expired'));

-- Room on each page for the new version of a row whose stock changes (HOT update).
ALTER TABLE "products" SET (fillfactor = 85);
