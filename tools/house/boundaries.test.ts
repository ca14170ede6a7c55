import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readGraph, violations } from './boundaries.ts'

const root = resolve(import.meta.dirname, '..', '..')

describe('the import directions', () => {
  it('hold in this workspace', () => {
    expect(violations(root, readGraph(root))).toEqual([])
  })
})

describe('a planted violation', () => {
  let copy: string

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'redis-shop-boundaries-'))
    for (const entry of [
      'apps',
      'libs',
      'tools',
      'infra',
      'nx.json',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
    ]) {
      cpSync(join(root, entry), join(copy, entry), {
        recursive: true,
        filter: (path) => !path.includes('node_modules'),
      })
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  })
  afterEach(() => rmSync(copy, { recursive: true, force: true }))

  it('of the graph is found: the kit depends on an app', () => {
    const path = join(copy, 'libs/redis-kit/package.json')
    const manifest = JSON.parse(readFileSync(path, 'utf8'))
    manifest.dependencies['@shop/order'] = '*'
    writeFileSync(path, JSON.stringify(manifest))
    expect(violations(copy, readGraph(copy))).toContain('libs/redis-kit must not depend on apps/order')
  })

  it('of the sources is found: an import that is not declared', () => {
    writeFileSync(join(copy, 'apps/user/planted.ts'), "import { buildApp } from '@shop/order/app'\nbuildApp()\n")
    expect(violations(copy, readGraph(root))).toContain(
      'apps/user/planted.ts imports @shop/order, which apps/user/package.json does not declare',
    )
  })

  it('of the sources is found: a service uses the test kit outside its tests', () => {
    writeFileSync(
      join(copy, 'apps/user/planted.ts'),
      "import { startRedis } from '@shop/test-kit/redis-server'\nstartRedis()\n",
    )
    expect(violations(copy, readGraph(root))).toContain(
      'apps/user/planted.ts imports @shop/test-kit, which only tests may',
    )
  })

  it('of the sources is found: a path that leaves its project', () => {
    writeFileSync(join(copy, 'apps/user/planted.ts'), "import '../order/app.ts'\n")
    expect(violations(copy, readGraph(root))).toContain('apps/user/planted.ts leaves its project: ../order/app.ts')
  })
})
