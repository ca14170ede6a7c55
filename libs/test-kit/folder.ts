/** Folders made one by one: Node's recursive `mkdir` never ends below a folder whose `mkdir` answers ENOENT, such as /proc. */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** Makes the folder and its missing parents; one that exists is left as it is. Throws the error of the first that cannot be made. */
export function makeFolder(folder: string, mode = 0o777): void {
  const missing = [resolve(folder)]
  for (let parent = dirname(resolve(folder)); !existsSync(parent); parent = dirname(parent)) missing.push(parent)
  for (const path of missing.reverse()) makeOne(path, mode)
}

function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    // Another process may have made it meanwhile.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error
  }
}
