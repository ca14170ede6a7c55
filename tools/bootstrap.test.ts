/** Signals on their way through the door of a clean clone: to it alone, as `kill` sends them, or to it and its child, as a terminal does. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { root } from './command-line/run.ts'

/** Begins to stop as the demo does, and is done when it reads a line. */
const waitingTool = `
  import { interruption } from ${JSON.stringify(join(root, 'tools/stack/interruption.ts'))}
  interruption().addEventListener('abort', () => console.log('stopping'))
  process.stdin.once('data', () => process.exit(7))
  console.log('ready')
`

/** Has nothing left to do after its first line, and stays stoppable until then. */
const endingTool = `
  import { interruption } from ${JSON.stringify(join(root, 'tools/stack/interruption.ts'))}
  interruption()
  console.log('ready')
  process.exitCode = 5
`

type Send = (signal: 'SIGINT') => void

/** A repository of one tool, installed. */
async function startTool(tool = waitingTool) {
  const folder = mkdtempSync(join(tmpdir(), 'shop-bootstrap-'))
  for (const path of ['tools', 'node_modules/.bin']) mkdirSync(join(folder, path), { recursive: true })
  copyFileSync(join(root, 'tools/bootstrap.mjs'), join(folder, 'tools/bootstrap.mjs'))
  writeFileSync(join(folder, 'tools/wait.ts'), tool)
  writeFileSync(join(folder, 'package-lock.json'), '{}')
  writeFileSync(join(folder, 'node_modules/.package-lock.json'), '{}')
  symlinkSync(process.execPath, join(folder, 'node_modules/.bin/node'))
  const bootstrap = spawn(process.execPath, [join(folder, 'tools/bootstrap.mjs'), 'wait'], { detached: true })
  const pid = bootstrap.pid as number
  onTestFinished(() => {
    if (bootstrap.exitCode === null) process.kill(-pid, 'SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  const said = outputOf(bootstrap)
  const exited = once(bootstrap, 'exit').then(([code]) => code)
  await expect.poll(said, { timeout: 20_000 }).toContain('ready')
  const again = (send: () => void) => {
    if (bootstrap.exitCode === null) send()
    return bootstrap.exitCode
  }
  return { pid, said, again, exited, finish: () => bootstrap.stdin?.write('finish\n') }
}

function outputOf({ stdout, stderr }: ChildProcess): () => string {
  let text = ''
  for (const stream of [stdout, stderr]) {
    stream?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
  }
  return () => text
}

test.each<[string, (pid: number) => Send]>([
  ['to the door alone', (pid) => (signal) => process.kill(pid, signal)],
  ['to its process group, as Ctrl-C', (pid) => (signal) => process.kill(-pid, signal)],
])('SIGINT %s stops the tool in order, and a second one at once', async (_name, to) => {
  const [patient, hasty] = [await startTool(), await startTool()]
  for (const { pid, said } of [patient, hasty]) {
    to(pid)('SIGINT')
    await expect.poll(said, { timeout: 20_000 }).toContain('stopping')
  }
  patient.finish()
  expect(await patient.exited).toBe(7)
  // Again until it ends, as a person does: signals that are close together count as one.
  await expect.poll(() => hasty.again(() => to(hasty.pid)('SIGINT')), { timeout: 20_000 }).toBe(130)
})

test('a tool that listens for its interruption ends when its work is done', async () => {
  const { exited } = await startTool(endingTool)
  expect(await exited).toBe(5)
})

test('npm ci accepts package-lock.json: each package.json has its packages there', () => {
  const check = ['ci', '--dry-run', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, stderr } = spawnSync('npm', check, { cwd: root, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})
