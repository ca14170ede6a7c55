/**
 * The Redis or Valkey server of a container image as a program of this machine, with the libraries of its image: tests start many
 * servers, freeze them and kill them, which a program allows and a container does not.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where the official images, and those of Linux distributions, keep the program, its libraries and its loader. */
const programs = ['usr/local/bin', 'usr/bin', 'usr/sbin', 'opt/bitnami/redis/bin', 'opt/bitnami/valkey/bin'].flatMap(
  (folder) => ['valkey-server', 'redis-server'].map((name) => join(folder, name)),
)
const libraryFolders = [
  'lib',
  'lib64',
  'usr/lib',
  'usr/lib64',
  'usr/local/lib',
  'lib/*-linux-gnu',
  'usr/lib/*-linux-gnu',
]
const loaders = ['lib64/ld-linux-*.so.*', 'lib/ld-linux-*.so.*', 'usr/lib*/ld-linux-*.so.*', 'lib/ld-musl-*.so.*']

/** Returns the path of the program. `folder` belongs to the caller. Throws when the image has no such server. */
export function serverFromImage(image: string, folder: string): string {
  const root = join(folder, 'root')
  mkdirSync(root, { recursive: true })
  unpack(image, root)
  const program = programs.map((path) => join(root, path)).find(existsSync)
  const loader = globSync(loaders, { cwd: root })[0]
  if (!program || !loader) throw new Error(`${image} has no Redis or Valkey server, or its server is linked statically`)
  const libraries = globSync(libraryFolders, { cwd: root }).map((path) => join(root, path))
  // By the name that was found: redis-server may be a link to a program that looks at its own name.
  const command = [join(root, loader), '--library-path', libraries.join(':'), program]
  const file = join(folder, 'redis-server')
  writeFileSync(file, `#!/bin/sh\nexec ${command.map(quote).join(' ')} "$@"\n`)
  chmodSync(file, 0o755)
  return file
}

/** The file system of a container that is never started. */
function unpack(image: string, root: string): void {
  const id = execFileSync('docker', ['create', image, 'unused'], { encoding: 'utf8' }).trim()
  try {
    const script = 'docker export "$1" | tar -x -C "$2" --no-same-owner --exclude=dev --exclude=proc --exclude=sys'
    execFileSync('sh', ['-c', script, 'sh', id, root], { stdio: 'inherit' })
  } finally {
    execFileSync('docker', ['rm', id], { stdio: 'ignore' })
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
