/**
 * One stack per data folder: two would write into the same databases.
 *
 * The lock is a file with the pid of its owner and the time at which that process was started. A pid alone is not enough:
 * after a crash and a reboot it may be the pid of any program.
 *
 * The file appears with its content, because a lock without content has no owner. The lock of a dead owner is replaced under a
 * second lock of the same kind: otherwise a slower start could remove the lock of a faster one.
 */
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '@shop/test-kit/folder'
import { identify, type ProcessIdentity } from '@shop/test-kit/process-identity'

export const lockFile = 'stack.pid'

/** Returns the release. Throws with the pid of the stack that already runs on `dataDir`. */
export function lockDataDir(dataDir: string): () => void {
  makeFolder(dataDir)
  const { owner, release } = lock(
    join(dataDir, lockFile),
    JSON.stringify(identify(process.pid) ?? { pid: process.pid }),
  )
  if (release) return release
  throw new Error(
    `A shop already runs on ${dataDir} (pid ${owner.pid}): stop it, or choose another folder with --data DIR.`,
  )
}

type Outcome = { release: () => void; owner?: undefined } | { release?: undefined; owner: ProcessIdentity }

function lock(file: string, mine: string): Outcome {
  const draft = `${file}.${randomUUID()}`
  const release = () => {
    if (read(file) === mine) rmSync(file, { force: true })
  }
  writeFileSync(draft, mine)
  try {
    while (!link(draft, file)) {
      const found = read(file)
      if (found === undefined) continue // released in between
      const owner = ownerOf(found)
      if (owner) return { owner }
      const takeover = lock(`${file}.takeover`, mine)
      if (!takeover.release) return takeover
      const isStillThere = read(file) === found
      if (isStillThere) renameSync(draft, file)
      takeover.release()
      if (isStillThere) break
    }
    return { release }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** False when the file exists. Of two stacks that start at the same time, one creates it. */
function link(draft: string, file: string): boolean {
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** The living process that made the lock. A damaged lock, and one whose pid is now another process, have no owner. */
function ownerOf(content: string): ProcessIdentity | undefined {
  try {
    const { pid, startedAt }: ProcessIdentity = JSON.parse(content)
    const now = identify(pid)
    return now !== undefined && now.startedAt === startedAt ? now : undefined
  } catch {
    return undefined
  }
}

/** Undefined when there is no such file. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
