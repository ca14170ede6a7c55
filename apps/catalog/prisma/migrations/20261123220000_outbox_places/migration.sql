-- AlterTable
ALTER TABLE "outbox"
    ADD COLUMN "partition" INTEGER,
    ADD COLUMN "stream_ms" BIGINT,
    ADD COLUMN "stream_number" BIGINT;

-- CreateIndex
CREATE INDEX "outbox_topic_partition_stream_ms_stream_number_idx" ON "outbox"("topic", "partition", "stream_ms", "stream_number");
