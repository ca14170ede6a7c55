/** `npm run test:server`: the tests that use Redis most, on another server than the one of this machine. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { counted } from './command-line/counted.ts'
import { root, runTool } from './command-line/run.ts'
import { serverFromImage } from './test-server/server-from-image.ts'

const projects = ['redis-kit', 'service-kit', 'infra']
const help = `Run the tests of ${projects.join(', ')} on the Redis or
Valkey server of a container image. Needs Docker, on Linux.

  npm run test:server -- valkey/valkey:9

A skipped test counts as a failure: choose a server with all features that the
tests use. Arguments after the image are passed to vitest:

  npm run test:server -- redis:8.8 stream/durability
`

const [image, ...args] = process.argv.slice(2)
if (image === undefined || image === '--help') process.stdout.write(help)
else process.exitCode = await testOn(image, args)

/** Resolves to the exit code. */
async function testOn(image: string, args: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'redis-shop-server-'))
  const report = join(root, 'reports/@shop/server.json')
  try {
    const server = serverFromImage(image, folder)
    process.stdout.write(execFileSync(server, ['--version'], { encoding: 'utf8' }))
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const chosen = projects.flatMap((project) => ['--project', project])
    const exitCode = await runTool('vitest', ['run', ...chosen, ...reporters, ...args], { SHOP_REDIS_SERVER: server })
    const { numPendingTests: skippedCount } = JSON.parse(readFileSync(report, 'utf8'))
    if (exitCode === 0 && skippedCount > 0)
      process.stderr.write(`${counted(skippedCount, 'test')} skipped on ${image}.\n`)
    return exitCode || (skippedCount > 0 ? 1 : 0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
