/**
 * `npm run generate`: writes each service's Prisma client (apps/<service>/prisma/client) from its schema.prisma, and docs/keys.md from
 * the declared key families. `npm install` and `npm test` run it with --clients: they must not mend a page that a test compares with
 * the code. It costs nothing when there is nothing to do, and downloads nothing.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { parseArguments } from './command-line/arguments.ts'
import { listPrismaFolders, type PrismaFolder } from './migrate/files.ts'

const run = promisify(execFile)
const prismaPackage = createRequire(import.meta.url).resolve('prisma/package.json')

const help = `Usage: npm run generate [-- --force] [--clients]

Writes each service's Prisma client from apps/<service>/prisma/schema.prisma,
and docs/keys.md from the key families that the services declare.

  --force     write clients that are up to date too
  --clients   write the Prisma clients only
  --help      this text
`

export interface GenerateOptions {
  /** Also where the client is up to date. */
  force?: boolean
  /** @default apps/ of this repository */
  appsFolder?: string
}

/** Resolves to the services whose client has been written. Throws with Prisma's own message. */
export async function generate({ force = false, appsFolder }: GenerateOptions = {}): Promise<string[]> {
  const stale = listPrismaFolders(appsFolder).filter((folder) => force || !isCurrent(folder))
  await Promise.all(stale.map(generateOne))
  return stale.map(({ service }) => service)
}

async function generateOne(folder: PrismaFolder): Promise<void> {
  const stamp = stampOf(folder) // before: a schema that is edited meanwhile is written again next time
  const cli = join(dirname(prismaPackage), 'build', 'index.js')
  await run(process.execPath, [cli, 'generate', '--no-hints', '--schema', folder.schemaFile], {
    cwd: folder.folder,
    env: {
      ...process.env,
      // Any file that exists: Prisma fetches its native schema engine before it generates, and does not use it then.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1', // no telemetry
    },
  }).catch((error: Error & { stderr?: string }) => {
    throw new Error(`${relative(process.cwd(), folder.schemaFile)}: ${error.stderr || error.message}`, { cause: error })
  })
  writeFileSync(stampFile(folder), stamp)
}

/** By content and not by time: a checkout changes times, and a client of another Prisma version is stale as well. */
function isCurrent(folder: PrismaFolder): boolean {
  try {
    return readFileSync(stampFile(folder), 'utf8') === stampOf(folder)
  } catch {
    return false
  }
}

function stampOf({ schemaFile }: PrismaFolder): string {
  return createHash('sha256').update(readFileSync(schemaFile)).update(readFileSync(prismaPackage)).digest('hex')
}

function stampFile({ folder }: PrismaFolder): string {
  return join(folder, 'client', '.generated-from')
}

async function main(): Promise<void> {
  const flag = { type: 'boolean' } as const
  const { values } = parseArguments({ options: { force: flag, clients: flag, help: flag } })
  if (values.help) return void process.stdout.write(help)
  const written = await generate(values)
  if (written.length > 0) console.log(`Prisma client written for ${written.join(', ')}`)
  if (!values.clients && (await writeKeysPage())) console.log('docs/keys.md written')
}

/** Resolves to false when the page is up to date. Imported late: an installation needs no declarations. */
async function writeKeysPage(): Promise<boolean> {
  const { readKeyFamilies } = await import('@shop/service-kit/storage/key-families')
  const { keysPage } = await import('./keyspace/page.ts')
  const file = join(import.meta.dirname, '..', 'docs', 'keys.md')
  const page = keysPage(await readKeyFamilies())
  if (existsSync(file) && readFileSync(file, 'utf8') === page) return false
  writeFileSync(file, page)
  return true
}

if (import.meta.main) {
  await main().catch((error: Error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
}
