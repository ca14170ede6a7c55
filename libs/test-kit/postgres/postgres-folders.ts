/**
 * Where data folders are. The server's user must be able to enter them, which is not a matter of course when we are root
 * and the server is not: it cannot enter what is below /root, or below a folder that `mkdtemp` made.
 */
import { createHash } from 'node:crypto'
import { chmod, chown, mkdtemp, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFolder } from '../folder.ts'
import { canEnter, exists, type ServerUser } from './postgres-binaries.ts'

/** Only ever needed by root. Only root can write to it, and nobody clears it. */
const REACHABLE_FOLDER = '/var/lib/redis-shop'

/** A container gives /dev/shm 64 MB by default, and a test run needs a few hundred. */
const MIN_MEMORY_BYTES = 2 * 1024 ** 3

/** A new folder that the server's user owns and can enter. */
export async function makeTemporaryFolder(user: ServerUser): Promise<string> {
  const bases = await temporaryFolders()
  for (const base of bases) {
    const folder = await mkdtemp(join(base, 'shop-postgres-'))
    await giveTo(folder, user.uid, user.gid)
    if (await canEnter(user, folder)) return folder
    await rm(folder, { recursive: true })
  }
  throw new Error(`no folder that the Postgres user can enter in ${bases.join(', ')}`)
}

/** Memory before disk where there is plenty: a thousand small files are there at once, however busy the disk is. */
async function temporaryFolders(): Promise<string[]> {
  const memory = await statfs('/dev/shm').catch(() => undefined)
  const isPlenty = memory !== undefined && memory.bavail * memory.bsize > MIN_MEMORY_BYTES
  return [...(isPlenty ? ['/dev/shm'] : []), tmpdir(), '/tmp']
}

/**
 * The folder that holds, or will hold, the data kept for `home`: below it, or where the server's user can enter. Then
 * `home/moved-to` names it; without that file what is there belongs to a `home` that was removed, and is removed too.
 */
export async function placeLastingData(home: string, user: ServerUser): Promise<string> {
  const marker = join(home, 'moved-to')
  const wasMoved = await exists(marker)
  if (!wasMoved && (await canEnter(user, home))) return makeOwned(join(home, 'cluster'), user)

  const elsewhere = join(REACHABLE_FOLDER, createHash('sha256').update(home).digest('hex').slice(0, 12))
  if (!wasMoved) await rm(elsewhere, { recursive: true, force: true })
  makeFolder(REACHABLE_FOLDER)
  await removeForgotten()
  await writeFile(`${elsewhere}.home`, home)
  await makeOwned(elsewhere, user)
  await writeFile(marker, `${elsewhere}\n`)
  return elsewhere
}

/** Data whose `home` was temporary and is gone. Another one may be on a disk that is not there today, so it is kept. */
async function removeForgotten(): Promise<void> {
  for (const file of (await readdir(REACHABLE_FOLDER)).filter((name) => name.endsWith('.home'))) {
    const home = await readFile(join(REACHABLE_FOLDER, file), 'utf8').catch(() => '')
    if (!home.startsWith(join(tmpdir(), '/')) || (await exists(home))) continue
    await rm(join(REACHABLE_FOLDER, file.replace(/\.home$/, '')), { recursive: true, force: true })
    await rm(join(REACHABLE_FOLDER, file), { force: true })
  }
}

async function makeOwned(folder: string, { uid, gid }: ServerUser): Promise<string> {
  makeFolder(folder)
  await giveTo(folder, uid, gid)
  return folder
}

export async function giveTo(folder: string, uid?: number, gid?: number): Promise<void> {
  if (uid !== undefined) await chown(folder, uid, gid ?? uid)
  await chmod(folder, uid === process.getuid?.() ? 0o755 : 0o700)
}
