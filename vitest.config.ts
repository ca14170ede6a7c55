import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** One vitest project per workspace, named like its folder: a project needs no config file of its own. */
const projects = ['apps', 'libs']
  .flatMap((group) => readdirSync(join(import.meta.dirname, group)).map((name) => ({ name, root: `${group}/${name}` })))
  .concat({ name: 'tools', root: 'tools' }, { name: 'bench', root: 'tools/bench' }, { name: 'infra', root: 'infra' })
  .map(({ name, root }) => ({
    extends: true as const,
    test: {
      name,
      root,
      include: ['**/*.test.ts'],
      exclude: ['**/node_modules/**', 'bench/**', ...(process.env.SHOP_COMPOSE_PROJECT ? [] : ['compose/**'])],
    },
  }))

export default defineConfig({
  test: {
    projects,
    // Once for the whole run: the Redis and Postgres servers that test files share.
    globalSetup: ['./libs/test-kit/vitest-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
