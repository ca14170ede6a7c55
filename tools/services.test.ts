/** A service is complete: each place that cannot be made from the list of services names it too. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames, services } from '@shop/contracts/services'
import { topics } from '@shop/contracts/topics'
import { expect, onTestFinished, test } from 'vitest'
import { root } from './command-line/run.ts'
import { forgottenPlaces, type Lists } from './services/forgotten.fixture.ts'

test('no place of a service is forgotten', async () => {
  expect(await forgottenPlaces(root, { services, topics })).toEqual([])
})

test('every place that lacks a service of the list is named, with what to add', async () => {
  const planned = { instances: 2, hasDatabase: true, redis: ['state', 'cache'], isPublic: false } as const
  const { orderEvents } = topics
  const readers = { ...orderEvents, sharedWith: { ...orderEvents.sharedWith, planned: 'write' } }
  const lists = { services: { ...services, planned }, topics: { ...topics, orderEvents: readers } }
  const internal = [...serviceNames.filter((name) => !services[name].isPublic), 'planned'].map((name) => {
    return [name, { condition: 'service_healthy' }]
  })
  expect((await forgottenPlaces(root, lists)).toSorted()).toEqual([
    '.vscode/launch.json: add `--inspect planned` to the debugger of every service',
    'README.md: draw it in the picture',
    'apps/gateway/routes.ts: add the routes of planned',
    'apps/planned/README.md: describe its routes, events, keys and tables',
    'apps/planned/app.ts: export buildApp, the wiring',
    'apps/planned/config.ts: export configSchema, made of commonConfig, stateConfig, cacheConfig, verifyIdentityConfig, databaseConfig',
    'apps/planned/keys.ts: export keyFamilies, all that it owns',
    "apps/planned/main.ts: call runService({ name: 'planned', … })",
    'apps/planned/package.json: add it, with the name @shop/planned',
    'apps/planned/planned.test.ts: test the service',
    'apps/planned/prisma/schema.prisma: describe its tables',
    'apps/planned: read orderEvents, or take planned from its readers',
    'docker-compose.yml: add planned under services',
    `docker-compose.yml: services.gateway.depends_on must be ${JSON.stringify(Object.fromEntries(internal))}`,
    'docs/architecture.md: draw it in the picture',
    'infra/docker-compose.override.example.yml: mount ./apps/planned and the libraries for planned',
    'package-lock.json: run `npm install`',
  ])
})

test('a service that the list does not name is found, by its folder and by its container', async () => {
  const { user: _removed, ...others } = services
  const found = await forgottenPlaces(root, { services: others, topics })
  expect(found).toContain('libs/contracts/services.ts: declare user, which has apps/user/main.ts')
  expect(found).toContain('libs/contracts/services.ts: declare user, or remove it from docker-compose.yml')
})

test('an entry that says something else than the service is found', async () => {
  const user = { instances: 2, hasDatabase: false, redis: ['state', 'cache'], isPublic: false } as const
  const { order: _removed, ...others } = topics.catalogStock.sharedWith
  const lists = {
    services: { ...services, user },
    topics: { ...topics, catalogStock: { ...topics.catalogStock, sharedWith: { ...others, user: 'write' } } },
  }
  expect(await forgottenPlaces(root, lists)).toEqual([
    'apps/user/config.ts: add cacheConfig for REDIS_CACHE_URL',
    'libs/contracts/services.ts: user requires DATABASE_URL, which its entry does not give it',
    'apps/user/keys.ts: export a family of the role cache, or take it from its entry',
    'libs/contracts/services.ts: user has apps/user/prisma/schema.prisma: set hasDatabase',
    'docker-compose.yml: services.user.deploy must be {"replicas":2}',
    'apps/user: read catalogStock, or take user from its readers',
    "libs/contracts/topics.ts: add 'order' to the readers of catalogStock",
  ])
})

test('the check of the networks knows every service of the list, and sees one that is on another', async () => {
  const { networkBreaches } = await readProtections()
  const planned = { instances: 1, hasDatabase: false, redis: ['state'], isPublic: false } as const
  const list = { ...services, planned }
  const on = (service: string, ...names: string[]) => ({
    Config: { Labels: { 'com.docker.compose.service': service } },
    NetworkSettings: { Networks: Object.fromEntries(names.map((name) => [`shop_${name}`, {}])) },
  })
  const right = Object.entries(list).map(([name, { isPublic }]) =>
    on(name, ...(isPublic ? ['edge'] : []), 'services', 'data'),
  )
  expect(networkBreaches(right, 'shop', list)).toEqual([])
  const wrong = [on('planned', 'data', 'edge', 'services'), on('planned', 'data'), on('stranger', 'data')]
  expect(networkBreaches(wrong, 'shop', list)).toEqual([
    'planned is on data, edge, services',
    'planned is on data',
    'stranger is on data',
  ])
})

test.each([
  [
    'apps/gateway/routes.ts',
    /\{[^{}]*'\/api\/categories'[^{}]*\},/,
    '',
    'routes.ts: add GET /api/categories, which apps/catalog/',
  ],
  ['apps/user/accounts/routes.ts', "'/api/users/me'", "'/api/users/you'", 'apps/user: serve GET /api/users/me, which'],
  [
    'apps/user/accounts/routes.ts',
    /get\(\s*'\/api\/users\/me'/,
    "get<{ Querystring: Record<'fields', Partial<User>> }>('/api/users/you'",
    'routes.ts: add GET /api/users/you, which apps/user/accounts/routes.ts serves',
  ],
  ['apps/gateway/docs/sections.ts', "'/api/cart'", '', 'docs/sections.ts: add the prefix of /api/cart to a section'],
  ['apps/user/package.json', 'type:app', 'type:other', 'package.json: add the tag type:app'],
  [
    'apps/user/package.json',
    '--project user',
    '--project all',
    'package.json: add the script "test" for --project user',
  ],
  ['apps/user/package.json', '"typebox"', '"other"', 'package-lock.json: run `npm install`'],
  [
    '.env.example',
    /\(user\)(?=\nDATABASE|\n#SESSION_IDLE)/,
    '(order)',
    '.env.example: add user to the readers of SESSION_IDLE_MS',
  ],
  ['apps/user/main.ts', "'user'", "'other'", "apps/user/main.ts: call runService({ name: 'user', … })"],
  ['apps/user/keys.ts', "'user', 'sign-in'", "'other', 'sign-in'", 'apps/user/keys.ts: other:rate-limit:sign-in:'],
  ['apps/user/keys.ts', "'sign-in', 'state'", "'sign-in', 'cache'", "services.ts: add 'cache' to redis of user"],
  ['docker-compose.yml', 'args: { APP: user }', 'args: { APP: other }', 'services.user.build must be'],
  ['docker-compose.yml', 'subpath: user', 'subpath: order', 'services.user.volumes must be'],
  ['docker-compose.yml', 'networks: [services, data]', 'networks: [data]', 'services.catalog.networks must be'],
  ['docker-compose.yml', /catalog: { condition: service_healthy }/, '', 'services.gateway.depends_on must be'],
  ['infra/docker-compose.override.example.yml', './apps/user', './apps/other', 'example.yml: mount ./apps/user'],
])('in %s the change of %s to "%s" is found', async (file, text, other, sentence) => {
  const folder = copy()
  const before = readFileSync(join(folder, file), 'utf8')
  const after = before.replace(text, other)
  expect(after).not.toBe(before)
  writeFileSync(join(folder, file), after)
  expect(await forgottenPlaces(folder, { services, topics })).toContainEqual(expect.stringContaining(sentence))
})

/** Read as a file: nothing imports an app. */
function readProtections(): Promise<{
  networkBreaches(containers: readonly object[], project: string, services: Lists['services']): string[]
}> {
  return import(join(root, 'apps/e2e/compose/protections.ts'))
}

function copy(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shop-services-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const entries = [
    '.env.example',
    'apps',
    'infra',
    'docs/architecture.md',
    '.vscode',
    'README.md',
    'docker-compose.yml',
    'package-lock.json',
    'package.json',
  ]
  for (const entry of entries)
    cpSync(join(root, entry), join(folder, entry), {
      recursive: true,
      filter: (path) => !/node_modules|prisma\/client/.test(path),
    })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}
