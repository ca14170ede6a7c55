/** A database with the outbox and inbox tables as every service's migrations make them. */
import { randomUUID } from 'node:crypto'
import { testDatabase } from '@shop/test-kit/postgres'
import type pg from 'pg'
import { onTestFinished } from 'vitest'
import { createPool } from '../storage/database.ts'
import { enqueue, type OutboxEvent } from './outbox.ts'
import { transact } from './transaction.fixture.ts'

const TABLES = `
  CREATE TABLE outbox (
    id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, topic text NOT NULL, key text NOT NULL, type text NOT NULL,
    body text NOT NULL, created_at timestamptz(3) NOT NULL DEFAULT now(), published_at timestamptz(3),
    partition int, stream_ms bigint, stream_number bigint);
  CREATE INDEX ON outbox (published_at, id);
  CREATE INDEX ON outbox (topic, partition, stream_ms, stream_number);
  CREATE TABLE inbox (
    "group" text, event_id uuid, processed_at timestamptz(3) NOT NULL DEFAULT now(), PRIMARY KEY ("group", event_id));
  CREATE TABLE effects (id bigserial PRIMARY KEY, event_id uuid, key text, number int);
  CREATE TABLE deliveries (id bigserial PRIMARY KEY, event_id uuid, body text, delivery_count int);`

export async function setUpTables() {
  const { url } = await testDatabase()
  const pool = poolTo(url)
  await pool.query(TABLES)
  return { url, pool, poolTo: () => poolTo(url) }
}

function poolTo(url: string): pg.Pool {
  const pool = createPool(url, { name: 'test', poolMax: 60, lockTimeoutMs: 20_000, statementTimeoutMs: 20_000 })
  onTestFinished(() => pool.end())
  return pool
}

export function event(overrides: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    eventId: randomUUID(),
    topic: 'order:events',
    key: 'order-1',
    type: 'order.placed',
    body: '{}',
    ...overrides,
  }
}

/** One transaction with nothing but this event. */
export async function tell(pool: pg.Pool, overrides: Partial<OutboxEvent> = {}): Promise<OutboxEvent> {
  const told = event(overrides)
  await transact(pool, (tx) => enqueue(tx, told))
  return told
}
