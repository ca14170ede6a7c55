import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { serviceNames } from '@shop/contracts/services'
import { expect, onTestFinished, test } from 'vitest'
import { appsOf, type Changes, watchSources } from './watch.ts'

const all = serviceNames

function repository() {
  const folder = mkdtempSync(join(tmpdir(), 'shop-watch-'))
  for (const path of [...all.map((app) => `apps/${app}`), 'libs/contracts', 'libs/service-kit', 'libs/redis-kit/lock'])
    mkdirSync(join(folder, path), { recursive: true })
  write('apps/catalog/app.ts', '1')
  write('libs/redis-kit/lock/acquire.lua', '1')
  const seen: Changes[] = []
  const stop = watchSources((changes) => seen.push(changes), folder)
  onTestFinished(() => {
    stop()
    rmSync(folder, { recursive: true })
  })
  return { write, saveByRename, next, seen, remove: (file: string) => rmSync(join(folder, file)) }

  function write(file: string, text: string) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  /** As vim, JetBrains and others do. */
  function saveByRename(file: string, text: string) {
    write(`${file}~new`, text)
    renameSync(join(folder, `${file}~new`), join(folder, file))
  }
  /** The changes of one save; events of the same save that come late are not counted again. */
  async function next(): Promise<Changes | undefined> {
    await expect.poll(() => seen.length, { timeout: 5_000 }).toBeGreaterThan(0)
    return seen.splice(0)[0]
  }
}

test.each(['apps/catalog/app.ts', 'libs/redis-kit/lock/acquire.lua'])(
  'a save of %s by rename is noticed each time',
  async (file) => {
    const { saveByRename, next } = repository()
    for (const text of ['2', '3', '4']) {
      saveByRename(file, text)
      expect(await next()).toEqual({ files: [file], deleted: [], apps: file.startsWith('libs') ? all : ['catalog'] })
    }
  },
)

test('a save in place is noticed each time, also in a folder that is new', async () => {
  const { write, next } = repository()
  for (const text of ['2', '3']) {
    write('apps/order/cart/limits.ts', text)
    expect((await next())?.apps).toEqual(['order'])
  }
})

test('a new folder with one file is one change, however many events come', async () => {
  const { write, next, seen } = repository()
  const migration = 'apps/order/prisma/migrations/20260101_x/migration.sql'
  write(migration, 'SELECT 1')
  expect(await next()).toEqual({ files: [migration], deleted: [], apps: ['order'] })
  // Events of the folder come after those of another file; the second change would hold the first file again.
  write('apps/user/app.ts', '1')
  await expect.poll(() => seen.some(({ apps }) => apps.includes('user')), { timeout: 5_000 }).toBe(true)
  expect(seen.flatMap(({ files }) => files)).toEqual(['apps/user/app.ts'])
})

test('a file that is deleted is not saved', async () => {
  const { remove, next } = repository()
  remove('apps/catalog/app.ts')
  expect(await next()).toEqual({ files: [], deleted: ['apps/catalog/app.ts'], apps: ['catalog'] })
})

test.each([
  ['apps/user/prisma/schema.prisma', ['user']],
  ['apps/user/prisma/migrations/20260101_x/migration.sql', ['user']],
  ['libs/contracts/product.ts', all],
  ['libs/test-kit/port.ts', []],
  ['apps/user/prisma/client/client.ts', []],
  ['apps/user/node_modules/x/index.js', []],
  ['apps/user/app.test.ts', []],
  ['apps/user/README.md', []],
  ['apps/user/.app.ts.swp', []],
  ['apps/user/app.ts~', []],
  ['apps/e2e/journey.ts', []],
])('%s belongs to %j', (file, apps) => {
  expect(appsOf(file)).toEqual(apps)
})
