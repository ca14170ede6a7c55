/**
 * One stack per data folder: two would write into the same databases.
 *
 * The lock is a file with the pid of its owner and the time at which that process was started. A pid alone is not enough:
 * after a crash and a reboot it may be the pid of any program.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identify, type ProcessIdentity } from '@shop/test-kit/process-identity'

export const lockFile = 'stack.pid'

/** Returns the release. Throws with the pid of the stack that already runs on `dataDir`. */
export function lockDataDir(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, lockFile)
  const mine = JSON.stringify(identify(process.pid) ?? { pid: process.pid })
  while (!create(file, mine)) {
    const owner = ownerOf(file)
    if (owner !== undefined) {
      throw new Error(
        `The shop already runs on ${dataDir} (pid ${owner.pid}): stop that one, or choose another folder with --data DIR.`,
      )
    }
    rmSync(file, { force: true })
  }
  return () => {
    if (read(file) === mine) rmSync(file, { force: true })
  }
}

/** False when the file exists. Of two stacks that start at the same time, one creates it. */
function create(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** The living process that made the lock. A damaged lock, and one whose pid is now another process, have no owner. */
function ownerOf(file: string): ProcessIdentity | undefined {
  try {
    const { pid, startedAt }: ProcessIdentity = JSON.parse(read(file))
    const now = identify(pid)
    return now !== undefined && now.startedAt === startedAt ? now : undefined
  } catch {
    return undefined
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
