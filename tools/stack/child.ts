/** The demo as a child process, on free ports and with data of its own: for programs that need a whole shop. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../command-line/run.ts'
import type { LookUrls } from './look.ts'
import type { Account } from './secrets.ts'
import type { Part } from './stage.ts'

/** As `npm run demo -- --json` says it. Only the URL is known of a shop that runs elsewhere. */
export interface OpenShop {
  url: string
  parts?: readonly Part[]
  /** The seeded accounts, an administrator among them. */
  accounts?: readonly Account[]
  look?: LookUrls
}

export interface DemoChild {
  logsFolder: string
  /** Rejects when the process ends before the shop is open. */
  opened: Promise<Required<OpenShop>>
  /** Resolves when the process has ended. May be called twice, and before the shop is open. */
  stop(): Promise<void>
  /** Call it after `stop`. */
  removeData(): void
}

/** @param name stands in the name of the data folder @param options further options of `npm run demo` */
export function startDemo(name: string, options: readonly string[] = []): DemoChild {
  const dataDir = mkdtempSync(join(tmpdir(), `redis-shop-${name}-`))
  const args = ['--json', '--port', '0', '--data', dataDir, '--products', '400', ...options]
  const child = spawn(process.execPath, [join(root, 'tools/stack.ts'), ...args], {
    cwd: root,
    // The channel ties the shop to this process: it stops itself when the channel closes.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const gone = once(child, 'exit')
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const opened = Promise.race([once(lines, 'line'), gone.then(didNotStart)]).then(([line]) => JSON.parse(line))
  opened.catch(() => {})
  return { logsFolder: join(dataDir, 'logs'), opened, stop, removeData: () => rmSync(dataDir, { recursive: true }) }

  async function stop() {
    child.kill('SIGTERM')
    await gone
  }
}

function didNotStart(): never {
  throw new Error('the shop did not start; the lines above say why')
}
