/** One stack per data folder: two would write into the same databases. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const lockFile = 'stack.pid'

/** Returns the release. Throws with the pid of the stack that already runs on `dataDir`. */
export function lockDataDir(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, lockFile)
  const owner = ownerOf(file)
  if (owner !== undefined) {
    throw new Error(
      `The shop already runs on ${dataDir} (pid ${owner}): stop that one, or choose another folder with --data DIR.`,
    )
  }
  writeFileSync(file, `${process.pid}\n`)
  return () => rmSync(file, { force: true })
}

/** The pid of the living process that holds the lock; a lock of a dead one counts for nothing. */
function ownerOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    if (pid === process.pid || !Number.isInteger(pid) || pid <= 0) return undefined
    process.kill(pid, 0)
    return pid
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? Number(readFileSync(file, 'utf8')) : undefined
  }
}
