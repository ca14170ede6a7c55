/**
 * Postgres data folders: throw-away ones for tests and lasting ones for the demo, both copied from a template because
 * `initdb` takes most of a second. Where they are is in postgres-folders.ts.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../folder.ts'
import { identify } from '../process-identity.ts'
import { CACHE_FOLDER, exists, type PostgresBinaries } from './postgres-binaries.ts'
import { giveTo, makeTemporaryFolder, placeLastingData } from './postgres-folders.ts'

const run = promisify(execFile)

export const SUPERUSER = 'postgres'

export interface PostgresData {
  /** The data folder itself (PGDATA). */
  folder: string
  /** The password that the superuser should have, unless another is wished. */
  password: string
  /** What it may be at the moment, likeliest first: of a copy the template's, and a change may have been interrupted. */
  possiblePasswords: string[]
  /** Notes which password it has now. */
  keepPassword(password: string): Promise<void>
  /** Removes folder and password. */
  remove(): Promise<void>
  /** The folder that holds everything, if it may be removed whole. */
  disposable: string | undefined
}

/** A fresh copy of the template, in a folder of its own. */
export async function temporaryData(binaries: PostgresBinaries): Promise<PostgresData> {
  const parent = await makeTemporaryFolder(binaries.user)
  const folder = join(parent, 'data')
  const templatePassword = await copyTemplate(binaries, folder)
  return {
    folder,
    password: makePassword(),
    possiblePasswords: [templatePassword],
    keepPassword: async () => {},
    remove: () => rm(parent, { recursive: true, force: true }),
    disposable: parent,
  }
}

/**
 * The data kept for `dir`, copied from the template on first use. `dir` holds the password and, where the server's user
 * can enter it, the data; else the data is where `dir/moved-to` says. Removing `dir` means starting anew.
 */
export async function lastingData(
  dir: string,
  binaries: PostgresBinaries,
  signal?: AbortSignal,
): Promise<PostgresData> {
  const home = resolve(dir)
  makeFolder(home)
  const parent = await placeLastingData(home, binaries.user)
  const folder = join(parent, 'data')
  const passwordFile = join(home, 'password')
  const keepPassword = (password: string) => writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  const templatePassword = (await exists(folder))
    ? await readTemplatePassword(binaries)
    : await copyWhole(binaries, { parent, folder }, signal)
  if (!(await exists(passwordFile))) await keepPassword(makePassword())
  const password = (await readFile(passwordFile, 'utf8')).trim()
  return {
    folder,
    password,
    possiblePasswords: [password, templatePassword],
    keepPassword,
    async remove() {
      for (const path of [parent, `${parent}.home`, home]) await rm(path, { recursive: true, force: true })
    },
    disposable: undefined,
  }
}

export function makePassword(): string {
  return randomBytes(24).toString('hex')
}

/**
 * A crash leaves postmaster.pid behind. Postgres trusts it as long as any process has that pid, which after a restart of
 * the machine (or in a container, always) may be any program. So the file is removed unless that process is a Postgres
 * that was started on this folder. Throws PostgresRuns if it is.
 */
export async function clearStalePid(folder: string): Promise<void> {
  const file = join(folder, 'postmaster.pid')
  const [pid, , , port] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (!pid) return
  // A server process without -D is a child of another Postgres: "postgres: checkpointer".
  if (identify(Number(pid))?.command.includes(`-D ${folder}`)) throw new PostgresRuns(Number(pid), Number(port))
  await rm(file, { force: true })
}

/** Another Postgres has the data folder. */
export class PostgresRuns extends Error {
  readonly pid: number
  constructor(pid: number, port: number) {
    super(`a Postgres runs on this data already: process ${pid}, port ${port}`)
    this.name = 'PostgresRuns'
    this.pid = pid
  }
}

/** The server itself reads PGDATESTYLE, PGCLIENTENCODING and others, and does not start with a value that it does not know. */
export function withoutPostgresVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/^PG[A-Z]/.test(name)))
}

/** Resolves to the superuser's password. */
async function initialise({ initdb, user }: PostgresBinaries, folder: string): Promise<string> {
  const password = makePassword()
  const passwordFile = `${folder}.password`
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user.uid !== undefined) await chown(passwordFile, user.uid, user.gid ?? user.uid)
  // The built-in locale: the same sort order on every machine, whatever locales are installed there.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const access = [`--username=${SUPERUSER}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  try {
    await run(initdb, [`--pgdata=${folder}`, '--no-instructions', '--no-sync', ...locale, ...access], {
      ...user,
      cwd: '/',
      env: withoutPostgresVariables(process.env),
    })
  } finally {
    await rm(passwordFile, { force: true })
  }
  return password
}

/** Under another name until it is complete: an interrupted start must not look like data. */
async function copyWhole(
  binaries: PostgresBinaries,
  { parent, folder }: { parent: string; folder: string },
  signal?: AbortSignal,
): Promise<string> {
  const draft = join(parent, 'data.draft')
  await rm(draft, { recursive: true, force: true })
  const password = await copyTemplate(binaries, draft, signal)
  await rename(draft, folder)
  flushToDisk(folder)
  return password
}

/**
 * Nothing waits for it: it takes seconds on a busy disk, the system would do it by itself within half a minute, and what
 * the server commits meanwhile it flushes itself.
 */
function flushToDisk(folder: string): void {
  const args = process.platform === 'linux' ? ['--file-system', folder] : []
  const flush = spawn('sync', args, { stdio: 'ignore', detached: true })
  flush.on('error', () => {})
  flush.unref()
}

/** Resolves to the superuser's password in it, which every copy shares until its server has given it another. */
async function copyTemplate(binaries: PostgresBinaries, folder: string, signal?: AbortSignal): Promise<string> {
  const template = await findTemplate(binaries)
  signal?.throwIfAborted()
  // `cp` and not `fs.cp`: as the server's user, so that it owns the copy, and four times as fast for a thousand files
  await run('cp', ['-R', join(template, 'data'), folder], { ...binaries.user, cwd: '/', signal })
  return readTemplatePassword(binaries)
}

async function readTemplatePassword(binaries: PostgresBinaries): Promise<string> {
  return (await readFile(join(await findTemplate(binaries), 'password'), 'utf8')).trim()
}

/** Made once per version of Postgres. Its password is readable for us only. */
async function findTemplate(binaries: PostgresBinaries): Promise<string> {
  const target = join(CACHE_FOLDER, `postgres-template-${binaries.version}`)
  if (!(await exists(target))) {
    makeFolder(CACHE_FOLDER)
    const draft = await mkdtemp(`${target}-draft-`)
    await giveTo(draft, binaries.user.uid, binaries.user.gid)
    const password = await initialise(binaries, join(draft, 'data'))
    await writeFile(join(draft, 'password'), password, { mode: 0o600 })
    await giveTo(draft, process.getuid?.(), process.getgid?.())
    await rename(draft, target).catch(() => rm(draft, { recursive: true })) // somebody else was first
  }
  return target
}
