/** What the pages say about commands and versions, compared with what is there. */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { serviceNames } from '@shop/contracts/services'
import { describeConfig } from '@shop/service-kit/process/config'
import { expect, test } from 'vitest'
import { root } from './command-line/run.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = globSync('**/*.md', { cwd: root, exclude: (path) => /node_modules|^\.|reports/.test(path) })
const manifest: { scripts: Record<string, string>; engines: { npm: string } } = JSON.parse(read('package.json'))

test('README, package.json and the bootstrap name the same oldest npm', () => {
  const [, readme] = /Needs npm (\d+) or newer/.exec(read('README.md')) ?? []
  const [, bootstrap] = /const minimumNpm = (\d+)/.exec(read('tools/bootstrap.mjs')) ?? []
  expect([readme, bootstrap, manifest.engines.npm]).toEqual(['10', '10', '>=10'])
})

test('every npm script that a page or a help text names exists', () => {
  const sources = [
    ...pages,
    ...globSync('tools/**/*.ts', { cwd: root, exclude: (path) => path.includes('node_modules') }),
  ]
  const named = sources.flatMap((path) =>
    [...read(path).matchAll(/npm run ([a-z][\w:-]*)/g)].map(([, script = '']) => ({ path, script })),
  )
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter(({ script }) => manifest.scripts[script] === undefined)).toEqual([])
})

test('.env.example has every variable that a service reads, its default and its readers, and no other', async () => {
  const readers = new Map<string, string[]>()
  for (const service of serviceNames) {
    const { configSchema } = await import(`../apps/${service}/config.ts`)
    for (const { name, required, default: value = '' } of describeConfig(configSchema)) {
      const line = `${required ? '' : '#'}${name}=${value}`
      readers.set(line, [...(readers.get(line) ?? []), service])
    }
  }
  const expected = [...readers].map(([line, names]) => {
    const isCommon = names.length === serviceNames.length
    return `${line}${isCommon ? '' : ` (${names.join(', ')})`}`
  })
  const paragraphs = read('.env.example').trim().split('\n\n').slice(1)
  const found = paragraphs.map((paragraph) => {
    const variable = /^#?[A-Z_]+=.*$/m.exec(paragraph)?.[0]
    return [variable, /\(\w+(?:, \w+)*\)(?=\n#?[A-Z_]+=)/.exec(paragraph)?.[0]].filter(Boolean).join(' ')
  })
  expect(found.toSorted()).toEqual(expected.toSorted())
})

test('no page names a command that needs the pinned Node on the PATH', () => {
  const direct = pages.filter((path) => /(?:^|[^\w/])node (?:tools|apps|infra)\/\S+\.ts/m.test(read(path)))
  expect(direct).toEqual([])
})

test('every script of a tool goes through the bootstrap, which installs what is missing', () => {
  const own = Object.entries(manifest.scripts).filter(([name, line]) => line.includes('tools/') && name !== 'prepare')
  expect(own.filter(([, line]) => !line.startsWith('exec node tools/bootstrap.mjs '))).toEqual([])
})

const commands = Object.entries(manifest.scripts).flatMap(([script, line]) => {
  const [, tool, options = ''] = /bootstrap\.mjs (\S+)(.*)/.exec(line) ?? []
  return tool === undefined ? [] : [{ script, args: [`tools/${tool}.ts`, ...options.split(' ').filter(Boolean)] }]
})

test.each(commands)('the help of $script names the command and fits 80 columns', ({ script, args }) => {
  const { stdout, status } = spawnSync(process.execPath, [...args, '--help'], { cwd: root, encoding: 'utf8' })
  expect(status).toBe(0)
  expect(stdout).toContain(script === 'test' ? 'npm test' : `npm run ${script}`)
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
})
