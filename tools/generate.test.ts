import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { generate } from './generate.ts'

vi.setConfig({ testTimeout: 60_000 })
let appsFolder: string

beforeEach(() => {
  appsFolder = mkdtempSync(join(tmpdir(), 'shop-apps-'))
  onTestFinished(() => rmSync(appsFolder, { recursive: true }))
  writeSchema('model Book {\n id Int @id\n}')
})

function writeSchema(models: string) {
  mkdirSync(join(appsFolder, 'shelf/prisma'), { recursive: true })
  mkdirSync(join(appsFolder, 'gateway'), { recursive: true }) // has no database
  writeFileSync(
    join(appsFolder, 'shelf/prisma/schema.prisma'),
    `generator client {\n provider = "prisma-client"\n output = "./client"\n generatedFileExtension = "ts"\n}
datasource db {\n provider = "postgresql"\n}\n${models}\n`,
  )
}

test('a client is written once, and again when the schema has changed or by force', async () => {
  expect(await generate({ appsFolder })).toEqual(['shelf'])
  expect(await generate({ appsFolder })).toEqual([])
  writeSchema('model Book {\n id Int @id\n}\nmodel Author {\n id Int @id\n}')
  expect(await generate({ appsFolder })).toEqual(['shelf'])
  expect(readFileSync(join(appsFolder, 'shelf/prisma/client/client.ts'), 'utf8')).toContain('Author')
  expect(await generate({ appsFolder, force: true })).toEqual(['shelf'])
})

test('a schema with a mistake is an error that names file and line', async () => {
  writeSchema('model Book {\n id Integer @id\n}')
  await expect(generate({ appsFolder })).rejects.toThrow(/shelf\/prisma\/schema\.prisma.*Integer/s)
  await expect(generate({ appsFolder })).rejects.toThrow('Integer') // a failure does not count as done
})

test('it downloads nothing', async () => {
  // A proxy that refuses everything: with a download Prisma would fail. As a process, which reads the variables anew.
  const nowhere = { HTTP_PROXY: 'http://127.0.0.1:9', HTTPS_PROXY: 'http://127.0.0.1:9' }
  const script = `import { generate } from ${JSON.stringify(join(import.meta.dirname, 'generate.ts'))}
    console.log(await generate({ appsFolder: ${JSON.stringify(appsFolder)} }))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...nowhere, HOME: appsFolder },
  })
  expect(stdout).toContain('shelf')
})
