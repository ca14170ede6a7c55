/** Running a program in our place: same terminal, and its exit code as the answer. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

/** A program of node_modules/.bin, on the pinned Node. Resolves to its exit code; rejects when it cannot be started. */
export function runTool(name: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const bin = join(root, 'node_modules', '.bin')
  const child = spawn(join(bin, name), args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}`, ...env },
  })
  child.on('error', reject)
  child.on('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  return promise
}
