-- CreateTable
CREATE TABLE "api_keys" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "scopes" TEXT[],
    "per_minute" INTEGER NOT NULL,
    "per_day" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" UUID NOT NULL,
    "rotated_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "projected_version" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "api_keys_created_at_id_idx" ON "api_keys"("created_at", "id");

-- Written by hand: keys that are to be written to Redis are few, however many there are.
CREATE INDEX "api_keys_pending_idx" ON "api_keys"("id") WHERE "projected_version" < "version";

ALTER TABLE "api_keys"
    ADD CONSTRAINT "api_keys_id_check" CHECK ("id" ~ '^[0-9A-Za-z]{8}$'),
    ADD CONSTRAINT "api_keys_quota_check" CHECK ("per_minute" > 0 AND "per_day" >= "per_minute"),
    ADD CONSTRAINT "api_keys_scopes_check" CHECK (cardinality("scopes") > 0);
