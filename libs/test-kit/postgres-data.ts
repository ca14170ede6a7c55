/**
 * Postgres data folders: throw-away ones for tests, copied from a template because `initdb` takes most of a second, and
 * lasting ones for the demo. The server's user must be able to enter them, which is not a matter of course when that is
 * not our own user (see postgres-binaries.ts).
 */
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { CACHE_FOLDER, canEnter, exists, type PostgresBinaries, type ServerUser } from './postgres-binaries.ts'

const run = promisify(execFile)

/** Only ever needed by root, whose own folders another user cannot enter. */
const REACHABLE_FOLDER = '/var/lib/redis-shop'

export const SUPERUSER = 'postgres'

export interface PostgresData {
  /** The data folder itself (PGDATA). */
  folder: string
  /** The superuser's password that is in it. */
  password: string
  /** Is it the template's, which other servers have as well? */
  isPasswordShared: boolean
  /** Notes that the password in it has been changed. */
  keepPassword(password: string): Promise<void>
  /** Removes folder and password. */
  remove(): Promise<void>
  /** The folder that holds everything, if it may be removed whole. */
  disposable: string | undefined
}

/** A fresh copy of the template, in a folder of its own. */
export async function temporaryData(binaries: PostgresBinaries): Promise<PostgresData> {
  const parent = await makeReachable(binaries)
  const folder = join(parent, 'data')
  return {
    folder,
    password: await copyTemplate(binaries, folder),
    isPasswordShared: true,
    keepPassword: async () => {},
    remove: () => rm(parent, { recursive: true, force: true }),
    disposable: parent,
  }
}

/**
 * The data kept for `dir`, made on first use. `dir` holds the password and, where the server's user can enter it, the
 * data; else the data is where `dir/moved-to` says. Removing `dir` means starting anew.
 */
export async function lastingData(dir: string, binaries: PostgresBinaries, isDurable: boolean): Promise<PostgresData> {
  const home = resolve(dir)
  await mkdir(home, { recursive: true })
  const parent = await placeData(home, binaries)
  const folder = join(parent, 'data')
  const passwordFile = join(home, 'password')
  const keepPassword = (password: string) => writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  const isNew = !(await exists(folder))
  if (isNew) {
    const draft = join(parent, 'data.draft') // an interrupted start must not look like data
    await rm(draft, { recursive: true, force: true })
    // A copy of the template is quicker, but only initdb makes sure that everything is on the disk.
    await keepPassword(isDurable ? await initialise(binaries, draft) : await copyTemplate(binaries, draft))
    await rename(draft, folder)
  }
  return {
    folder,
    password: (await readFile(passwordFile, 'utf8')).trim(),
    isPasswordShared: isNew && !isDurable,
    keepPassword,
    async remove() {
      await rm(parent, { recursive: true, force: true })
      await rm(home, { recursive: true, force: true })
    },
    disposable: undefined,
  }
}

export function makePassword(): string {
  return randomBytes(24).toString('hex')
}

/**
 * A crash leaves postmaster.pid behind. Postgres believes it as long as some process has that number, which after a
 * restart of the machine (or in a container, always) may be anything. So: remove it unless that process is a Postgres.
 */
export async function clearStalePid(folder: string): Promise<void> {
  const file = join(folder, 'postmaster.pid')
  const [pid, , , port] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (!pid) return
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => nameByPs(pid))
  if (name === undefined) return // gone, or we cannot tell: Postgres itself decides
  if (name.includes('postgres')) throw new Error(`a Postgres runs on this data already: process ${pid}, port ${port}`)
  await rm(file, { force: true })
}

async function nameByPs(pid: string): Promise<string | undefined> {
  return run('ps', ['-o', 'comm=', '-p', pid]).then(
    ({ stdout }) => stdout,
    () => undefined,
  )
}

/** Resolves to the superuser's password. */
async function initialise({ initdb, user }: PostgresBinaries, folder: string, args: string[] = []): Promise<string> {
  const password = makePassword()
  const passwordFile = `${folder}.password`
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user.uid !== undefined) await chown(passwordFile, user.uid, user.gid ?? user.uid)
  // The built-in locale: the same sort order on every machine, whatever locales are installed there.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const access = [`--username=${SUPERUSER}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  try {
    await run(initdb, [`--pgdata=${folder}`, '--no-instructions', ...locale, ...access, ...args], { ...user, cwd: '/' })
  } finally {
    await rm(passwordFile, { force: true })
  }
  return password
}

/** Resolves to the superuser's password, which every copy shares until the server has given itself another. */
async function copyTemplate(binaries: PostgresBinaries, folder: string): Promise<string> {
  const template = await findTemplate(binaries)
  // `cp` and not `fs.cp`: as the server's user, so that it owns the copy, and four times as fast for a thousand files
  await run('cp', ['-R', join(template, 'data'), folder], { ...binaries.user, cwd: '/' })
  return (await readFile(join(template, 'password'), 'utf8')).trim()
}

/** Made once per version of Postgres. Its password is readable for us only. */
async function findTemplate(binaries: PostgresBinaries): Promise<string> {
  const target = join(CACHE_FOLDER, `postgres-template-${binaries.version}`)
  if (!(await exists(target))) {
    await mkdir(CACHE_FOLDER, { recursive: true })
    const draft = await makeReachable(binaries, `${target}-draft-`)
    const password = await initialise(binaries, join(draft, 'data'), ['--no-sync'])
    await writeFile(join(draft, 'password'), password, { mode: 0o600 })
    await giveTo(draft, process.getuid?.(), process.getgid?.())
    await rename(draft, target).catch(() => rm(draft, { recursive: true })) // somebody else was first
  }
  return target
}

/** A new folder that the server's user owns and can enter. */
async function makeReachable({ user }: PostgresBinaries, prefix?: string): Promise<string> {
  const prefixes = prefix ? [prefix] : [tmpdir(), '/tmp'].map((base) => join(base, 'shop-postgres-'))
  for (const candidate of prefixes) {
    const folder = await mkdtemp(candidate)
    await giveTo(folder, user.uid, user.gid)
    if (await canEnter(user, folder)) return folder
    await rm(folder, { recursive: true })
  }
  throw new Error(`no folder that the Postgres user can enter: tried ${prefixes.join(', ')}`)
}

async function placeData(home: string, { user }: PostgresBinaries): Promise<string> {
  const marker = join(home, 'moved-to')
  if (!(await exists(marker)) && (await canEnter(user, home))) return makeOwned(join(home, 'cluster'), user)

  const hash = createHash('sha256').update(home).digest('hex').slice(0, 12)
  const elsewhere = join(REACHABLE_FOLDER, hash)
  if (!(await exists(marker))) await rm(elsewhere, { recursive: true, force: true }) // of a `dir` that was removed
  await mkdir(REACHABLE_FOLDER, { recursive: true })
  await makeOwned(elsewhere, user)
  await writeFile(marker, `${elsewhere}\n`)
  return elsewhere
}

async function makeOwned(folder: string, { uid, gid }: ServerUser): Promise<string> {
  await mkdir(folder, { recursive: true })
  await giveTo(folder, uid, gid)
  return folder
}

async function giveTo(folder: string, uid?: number, gid?: number): Promise<void> {
  if (uid !== undefined) await chown(folder, uid, gid ?? uid)
  await chmod(folder, uid === process.getuid?.() ? 0o755 : 0o700)
}
