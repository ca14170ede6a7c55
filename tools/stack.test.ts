/** The demo as a person starts and ends it: processes, signals, and what is left of it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identify, type ProcessIdentity } from '@shop/test-kit/process-identity'
import { expect, onTestFinished, test, vi } from 'vitest'
import { root } from './command-line/run.ts'

vi.setConfig({ testTimeout: 240_000 })

interface Demo {
  child: ChildProcess & { pid: number }
  /** What it has said so far. */
  said(): string
  /** Resolves once it has said this. */
  says(text: string): Promise<void>
  exited: Promise<unknown>
}

function startDemo(command: string, args: string[], dataDir = temporaryFolder()): Demo {
  const options = ['--port', '0', '--products', '20', '--data', dataDir]
  const child = spawn(command, [...args, ...options], {
    cwd: root,
    detached: true,
    env: cleanEnvironment(),
  }) as Demo['child']
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
  }
  onTestFinished(async () => {
    const processes = treeOf(child.pid)
    for (const { pid } of processes.reverse()) kill(pid, 'SIGKILL')
  })
  const says = (wanted: string) => expect.poll(() => text, { timeout: 180_000 }).toContain(wanted)
  return { child, said: () => text, says, exited: once(child, 'exit') }
}

/** As in a terminal: npm's variables of the test run are not the demo's. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const names = Object.keys(process.env).filter((name) => !/^(npm_|VITEST|NODE_)/.test(name))
  return Object.fromEntries(names.map((name) => [name, process.env[name]]))
}

function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'shop-demo-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const byNpm = () => startDemo('npm', ['run', 'demo', '--'])
const byNode = (dataDir?: string) => startDemo(process.execPath, [join(root, 'tools/stack.ts')], dataDir)

/** The process and all that it has started, also what runs in a session of its own. */
function treeOf(rootPid: number): ProcessIdentity[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number])
  const pids = [rootPid]
  for (const pid of pids) pids.push(...pairs.filter(([, parent]) => parent === pid).map(([child]) => child))
  return pids.flatMap((pid) => identify(pid) ?? [])
}

function alive(processes: readonly ProcessIdentity[]): string[] {
  return processes.flatMap(({ pid, startedAt, command }) => (identify(pid)?.startedAt === startedAt ? [command] : []))
}

function kill(pid: number, signal: NodeJS.Signals) {
  try {
    process.kill(pid, signal)
  } catch {
    // it is gone
  }
}

test.each<[string, (npm: number) => void]>([
  ['SIGTERM to npm', (npm) => process.kill(npm, 'SIGTERM')],
  ['SIGKILL to npm', (npm) => process.kill(npm, 'SIGKILL')],
  ['SIGHUP to the terminal’s processes', (npm) => process.kill(-npm, 'SIGHUP')],
  ['Ctrl-C in the terminal', (npm) => process.kill(-npm, 'SIGINT')],
  ['SIGKILL to the tool', (npm) => process.kill(treeOf(npm).find(isStack)?.pid ?? 0, 'SIGKILL')],
])('%s leaves no process of the demo', async (_name, end) => {
  const demo = byNpm()
  await demo.says('Stop: Ctrl-C')
  const processes = treeOf(demo.child.pid)
  expect(processes.length).toBeGreaterThan(12)
  end(demo.child.pid)
  await expect.poll(() => alive(processes), { timeout: 60_000 }).toEqual([])
})

function isStack({ command }: ProcessIdentity) {
  return command.includes('tools/stack.ts')
}

test.each(['Starting the databases', 'Filling the catalog', 'Starting the services', 'Stop: Ctrl-C'])(
  'Ctrl-C after “%s” ends it, and nothing is left',
  async (moment) => {
    const demo = byNode()
    await demo.says(moment)
    const processes = treeOf(demo.child.pid)
    process.kill(demo.child.pid, 'SIGINT')
    await demo.exited
    await expect.poll(() => alive(processes), { timeout: 10_000 }).toEqual([])
    expect(demo.said()).toContain('no process is left running')
    expect(demo.said()).not.toMatch(/^\s+at /m)
  },
)

test('a shop that was killed can be started again at once on the same data', async () => {
  const dataDir = temporaryFolder()
  const first = byNode(dataDir)
  await first.says('Stop: Ctrl-C')
  first.child.kill('SIGKILL')
  const second = byNode(dataDir)
  await second.says('Stop: Ctrl-C')
  second.child.kill('SIGTERM')
  await second.exited
})
