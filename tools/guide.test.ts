/** docs/add-a-service.md, followed to the letter in a copy of the repository. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { services } from '@shop/contracts/services'
import { expect, onTestFinished, test } from 'vitest'
import { root } from './command-line/run.ts'
import { forgottenPlaces, type Lists } from './services/forgotten.fixture.ts'
import { applyGuide } from './services/guide.fixture.ts'

const guide = readFileSync(join(root, 'docs/add-a-service.md'), 'utf8')

const withoutDatabase = guide.replace(/^## 4\. .*?(?=^## 5\. )/ms, '')
/** What apps/e2e/docs.test.ts asks of a body and of an answer. */
const wantedByTestOfDocs = {
  RatingInput: { examples: [expect.anything()] },
  RatingSummary: { description: expect.any(String) },
}
/** A shop that has such a service already has followed it. */
const isFollowed = 'rating' in services

test.skipIf(isFollowed)(
  'its service is complete but for what it says in words, and its own tests pass',
  {
    timeout: 300_000,
  },
  async () => {
    const folder = copyOfRepository()
    applyGuide(folder, withoutDatabase)
    expect(await forgottenPlaces(folder, await listsOf(folder))).toEqual([
      'package-lock.json: run `npm install`',
      '.env.example: add rating to the readers of IDENTITY_PUBLIC_KEY',
      'apps/rating/README.md: describe its routes, events, keys and tables',
      'README.md: draw it in the picture',
      'docs/architecture.md: draw it in the picture',
      '.vscode/launch.json: add `--inspect rating` to the debugger of every service',
    ])
    expect(await import(join(folder, 'libs/contracts/rating.ts'))).toMatchObject(wantedByTestOfDocs)
    expect(errorsOfTypes(folder)).toBe('')
    const run = (args: string[]) =>
      execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
    expect(run(['node_modules/vitest/vitest.mjs', 'run', '--project', 'rating', '--no-color'])).toMatch(
      /Tests +2 passed/,
    )
  },
)

test.skipIf(isFollowed)('its step 4 is complete but for what it says in words', async () => {
  const folder = copyOfRepository()
  applyGuide(folder, guide)
  expect(await forgottenPlaces(folder, await listsOf(folder))).toEqual(
    expect.arrayContaining([
      '.env.example: add rating to the readers of DATABASE_URL',
      '.env.example: add rating to the readers of DATABASE_POOL_MAX',
      'apps/rating/prisma/migrations: run `npm run migrate -- --create init --service rating`',
    ]),
  )
  const schema = readFileSync(join(folder, 'apps/rating/prisma/schema.prisma'), 'utf8')
  expect(schema.match(/^(?:generator|datasource|model) \w+/gm)).toEqual([
    'generator client',
    'datasource db',
    'model OutboxEvent',
    'model InboxEvent',
  ])
})

test('a block that fits no place, and one without a file, are errors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shop-guide-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'topics.ts'), 'readers: []\n')
  const block = '```diff\n-partitions\n+readers\n```\n'
  expect(() => applyGuide(folder, `\`topics.ts\`\n\n${block}`)).toThrow('topics.ts has not one place like this')
  expect(() => applyGuide(folder, block)).toThrow('the guide does not name the file of')
})

/** As the copy has them; each copy once, because a module is loaded once. */
async function listsOf(folder: string): Promise<Lists> {
  const files = ['services.ts', 'topics.ts'].map((file) => import(join(folder, 'libs/contracts', file)))
  return Object.assign({}, ...(await Promise.all(files)))
}

/** Packages are the same, except that the workspace's own are those of the copy. */
function copyOfRepository(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shop-guide-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const filter = (path: string) => !/node_modules|prisma\/client|\.nx/.test(path)
  for (const entry of ['apps', 'libs', 'infra', 'docs', '.vscode'])
    cpSync(join(root, entry), join(folder, entry), { recursive: true, filter })
  for (const file of [
    '.env.example',
    'README.md',
    'docker-compose.yml',
    'package-lock.json',
    'package.json',
    'tsconfig.json',
    'vitest.config.ts',
  ])
    cpSync(join(root, file), join(folder, file))
  mkdirSync(join(folder, 'tools/bench'), { recursive: true }) // vitest wants the folders of all its projects
  linkPackages(folder)
  return folder
}

function linkPackages(folder: string): void {
  const packages = join(folder, 'node_modules')
  mkdirSync(join(packages, '@shop'), { recursive: true })
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== '@shop') symlinkSync(join(root, 'node_modules', name), join(packages, name))
  }
  for (const library of readdirSync(join(folder, 'libs')))
    symlinkSync(`../../libs/${library}`, join(packages, '@shop', library))
  for (const own of globSync('libs/*/node_modules', { cwd: root })) symlinkSync(join(root, own), join(folder, own))
}

/** What tsc says of the service and of what it imports; the other services need their Prisma clients. */
function errorsOfTypes(folder: string): string {
  const config = { extends: './tsconfig.json', include: ['apps/rating', 'apps/gateway/routes.ts'] }
  writeFileSync(join(folder, 'tsconfig.guide.json'), JSON.stringify(config))
  const { stdout } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.guide.json'], {
    cwd: folder,
    encoding: 'utf8',
  })
  return stdout
}
