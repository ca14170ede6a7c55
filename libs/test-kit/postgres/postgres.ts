/**
 * Postgres for test files: all files of a run share one server, each call gets a database of its own.
 *
 *     const database = await testDatabase('catalog')         // top of the file: for all of its tests
 *     test('…', async () => {
 *       const fresh = await testDatabase('catalog')          // in a test: for this one
 *     })
 */
import { randomBytes } from 'node:crypto'
import { afterwards, serverUrl, templateName } from '../test-servers.ts'
import { databaseUrl, run } from './postgres-template.ts'

export interface TestDatabase {
  /** Of a superuser, who owns everything in it. */
  readonly url: string
  readonly name: string
}

/**
 * A new database with this service's migrations applied, or an empty one without a service. Dropped after the test, or
 * after the file's last one when called at its top; open connections do not keep it. Not to be called in `beforeAll`.
 * `settings` are the defaults of its sessions, as an administrator may have changed them: `{ timezone: 'Asia/Kolkata' }`.
 */
export async function testDatabase(service?: string, settings: Record<string, string> = {}): Promise<TestDatabase> {
  const server = await serverUrl('postgres')
  const template = service === undefined ? 'template0' : await templateName(service)
  const name = `t${randomBytes(4).toString('hex')}_${(service ?? 'empty').replaceAll(/\W/g, '_')}`
  const defaults = Object.entries(settings).map(([key, value]) => `ALTER DATABASE ${name} SET ${key} = '${value}'`)
  await run(server, [`CREATE DATABASE ${name} TEMPLATE ${template}`, ...defaults])
  afterwards(() => run(server, [untilUnused(name), `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]))
  return { url: databaseUrl(server, name), name }
}

/** Waits a second at most: a connection that is just closing would fail the test's process when the server ends it first. */
function untilUnused(name: string): string {
  return `DO $$ BEGIN
    FOR round IN 1..20 LOOP
      EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '${name}');
      PERFORM pg_sleep(0.05);
      PERFORM pg_stat_clear_snapshot();
    END LOOP;
  END $$`
}
