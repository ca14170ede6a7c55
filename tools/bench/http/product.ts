/** One product by its key, over HTTP, when everybody wants it. */
import { type Contender, closedLoopColumns, type Table } from '../harness/suite.ts'
import { startCatalog } from './catalog.ts'
import type { Servers } from './context.ts'
import { type HttpServer, loading } from './loading.ts'
import { serveBare, serveBento, serveMap, servePg, servePgJson, servePrisma, serveRedis } from './servers.ts'

type Start = (servers: Servers) => Promise<HttpServer>

const contender = (id: string, role: Contender<Servers>['role'], label: string, start: Start): Contender<Servers> => ({
  id,
  label,
  role,
  start: async (servers) => loading(await start(servers), servers),
})

export const product: Table<Servers> = {
  id: 'product',
  title: 'HTTP: one product by its key, hot',
  note: '64 connections of a process of its own, keys at random of 10,000, 1.2 KB of JSON. CPU is the server process’s. The catalog is the real service: identity, validation, ETag, metrics; its log is at "warn" except where said. Rounds are three times as long, after 0.4 s of load that is not counted.',
  columns: [{ ...closedLoopColumns[0], label: 'requests/s' }, ...closedLoopColumns.slice(1)],
  durationFactor: 3,
  ratios: [
    { metric: 'perSecond', to: 'map', label: 'x Map' },
    { metric: 'perSecond', to: 'redis-bytes', label: 'x raw GET' },
    { metric: 'cpuUs', to: 'map', label: 'CPU x Map' },
  ],
  contenders: [
    contender('ours-local', 'ours', 'catalog, copies in memory', (servers) => startCatalog(servers)),
    contender('ours-redis', 'ours', 'catalog, Redis only', (servers) => startCatalog(servers, { withCopies: false })),
    contender('ours-logging', 'ours', 'catalog, copies, a log line per request', (servers) =>
      startCatalog(servers, { logLevel: 'info' }),
    ),
    contender('bare', 'limit', 'Fastify, always the same text', serveBare),
    contender('map', 'limit', 'Fastify, text from a Map', () => serveMap('text')),
    contender('map-bytes', 'limit', 'Fastify, bytes from a Map', () => serveMap('bytes')),
    contender('redis-text', 'control', 'Fastify, ioredis GET as text', (servers) => serveRedis(servers, 'text')),
    contender('redis-bytes', 'control', 'Fastify, ioredis GET as bytes', (servers) => serveRedis(servers, 'bytes')),
    contender('bentocache', 'peer', 'Fastify, bentocache L1', (servers) => serveBento(servers, { withCopies: true })),
    contender('bentocache-redis', 'peer', 'Fastify, bentocache L2', (servers) =>
      serveBento(servers, { withCopies: false }),
    ),
    contender('pg-json', 'control', 'Fastify, pg prepared, JSON by Postgres', servePgJson),
    contender('pg', 'control', 'Fastify, pg prepared', servePg),
    contender('prisma', 'peer', 'Fastify, Prisma findUnique', servePrisma),
  ],
  goals: [
    {
      text: 'with copies at least 0.95 x Fastify from a Map',
      metric: 'perSecond',
      contender: 'ours-local',
      than: ['map'],
      atLeast: 0.95,
    },
    {
      text: 'from Redis at least 1 x Fastify with a raw GET as bytes',
      metric: 'perSecond',
      contender: 'ours-redis',
      than: ['redis-bytes'],
      atLeast: 1,
    },
    {
      text: 'from Redis at least 1.4 x bentocache L2',
      metric: 'perSecond',
      contender: 'ours-redis',
      than: ['bentocache-redis'],
      atLeast: 1.4,
    },
  ],
}
