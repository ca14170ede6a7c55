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

test('the compile cache is on, and modules that are imported beside it are found in the usual way', async () => {
  const text = `import './compile-cache.ts'
    import { Type } from 'typebox'
    import { createLog } from '../telemetry/log.ts'
    import { createServer } from '../http/server.ts'
    ${show}`
  expect(await run(text)).toBe('true string function function')
})
