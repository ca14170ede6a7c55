// The door of a clean clone: installs what is missing, then hands over to the pinned Node.
//
//   node tools/bootstrap.mjs <command> [arguments]     runs tools/<command>.ts
//
// It is plain JavaScript without dependencies, because it runs before anything is installed and on whatever Node the
// machine has. Everything behind it runs on the Node that package-lock.json pins.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const minimumNpm = 10
const [command, ...args] = process.argv.slice(2)
/** The child that runs now. */
let current
let isStopping = false
let isInstalling = false

if (!/^[a-z0-9-]+$/.test(command ?? '') || !existsSync(join(root, 'tools', `${command}.ts`))) {
  stop('usage: node tools/bootstrap.mjs <command> [arguments], where tools/<command>.ts exists', 2)
}
stopWithParent()
if (!args.includes('--help') || !isInstalled()) await install()
await run(join(root, 'node_modules', '.bin', 'node'), [join(root, 'tools', `${command}.ts`), ...args])

/** npm writes its hidden lockfile last: it is there and no older than package-lock.json when an install went through. */
function isInstalled() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

async function install() {
  if (isInstalled()) return
  checkNpm()
  const startedMs = Date.now()
  const seconds = () => Math.round((Date.now() - startedMs) / 1000)
  const progress = setInterval(() => console.log(`  … still installing (${seconds()} s)`), 10_000)
  // A clean clone gets exactly the lockfile; a folder that somebody works in is brought up to it, and not thrown away first.
  const command = existsSync(join(root, 'node_modules')) ? ['install', '--no-save'] : ['ci']
  console.log(`Installing packages (npm ${command[0]}), once; about a minute …`)
  isInstalling = true
  const code = await spawned('npm', [...command, '--no-audit', '--no-fund', '--loglevel=error'])
  isInstalling = false
  clearInterval(progress)
  if (isStopping) stop('Installation interrupted; the next start continues it.', 130)
  if (code !== 0) stop(`npm ${command[0]} failed (exit code ${code}); its output above names the cause.`, 1)
  console.log(`Installed in ${seconds()} s.`)
}

function checkNpm() {
  const { stdout } = spawnSync('npm', ['--version'], { encoding: 'utf8' })
  const version = (stdout ?? '').trim()
  if (version === '') stop('npm is not on the PATH: install Node.js from https://nodejs.org, then try again.', 1)
  if (Number.parseInt(version, 10) < minimumNpm) {
    stop(`npm ${version} is too old, ${minimumNpm} or newer is needed: run \`npm install --global npm@latest\`.`, 1)
  }
}

/** Run the pinned Node in our place: same terminal, same signals, same exit code. */
async function run(file, fileArgs) {
  process.exitCode = await spawned(file, fileArgs, ['ipc'])
}

/** @param channel with 'ipc' the child notices when we are killed, and stops itself */
function spawned(file, fileArgs, channel = []) {
  return new Promise((resolve) => {
    const child = spawn(file, fileArgs, { cwd: root, stdio: ['inherit', 'inherit', 'inherit', ...channel] })
    current = child
    child.on('error', (error) => stop(`${file} cannot be started: ${error.message}`, 1))
    child.on('exit', (code, signal) => {
      current = undefined
      resolve(code ?? 128 + (constants.signals[signal] ?? 0))
    })
  })
}

/**
 * Signals are passed on, and the end of the child is awaited. Ctrl-C has reached the child already, a SIGINT to this process alone
 * has not, and they look the same. A second SIGINT may end the child at once, so the first is passed on as SIGTERM, which
 * changes nothing for a child that stops. The next ones are passed on as they are.
 * When npm has started this process and is killed, no signal arrives here: so the end of npm counts as one.
 */
function stopWithParent() {
  process.on('SIGINT', () => {
    // npm itself would finish the installation first, some versions also after SIGTERM. What is half installed is completed next time.
    if (isInstalling) pass('SIGKILL')
    else pass(isStopping ? 'SIGINT' : 'SIGTERM')
  })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => pass(signal))
  const parent = process.ppid
  if (process.env.npm_lifecycle_event === undefined) return
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    pass('SIGTERM')
  }, 300)
  watch.unref()
}

function pass(signal) {
  isStopping = true
  current?.kill(signal)
}

function stop(message, code) {
  console.error(message)
  process.exit(code)
}
