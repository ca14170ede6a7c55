import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** What a fresh process prints that runs this text as a module of this folder. */
async function run(text: string): Promise<string> {
  const args = ['--input-type=module', '--eval', text]
  const env = { ...process.env, FORCE_COLOR: '0' } // task runners ask for colours, which console.log then adds
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname, env })
  return stdout.trim()
}

const show = `import { getCompileCacheDir } from 'node:module'
  console.log([getCompileCacheDir() !== undefined, Type.String().type, typeof createLog, typeof createServer].join(' '))`

test('what is imported after it is cached, and is what it would be without', async () => {
  const text = `await import('./compile-cache.ts')
    const { Type } = await import('typebox')
    const { createLog } = await import('../telemetry/log.ts')
    const { createServer } = await import('../http/server.ts')
    ${show}`
  expect(await run(text)).toBe('true string function function')
})

test('what is imported beside it, while it waits for TypeBox, is found in the usual way', async () => {
  const text = `import './compile-cache.ts'
    import { Type } from 'typebox'
    import { createLog } from '../telemetry/log.ts'
    import { createServer } from '../http/server.ts'
    ${show}`
  expect(await run(text)).toBe('true string function function')
})

test('there is one TypeBox, however it was found', async () => {
  const text = `import { Type } from 'typebox'
    await import('./compile-cache.ts')
    const again = await import('typebox')
    console.log(String(Type === again.Type))`
  expect(await run(text)).toBe('true')
})
