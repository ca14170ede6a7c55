/**
 * Which process a pid is. A pid in a file may belong to another program by now: after a reboot, and in a container after
 * every start, the same small numbers are given out again. A pid and a start time together are never given out twice.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface ProcessIdentity {
  pid: number
  /** Comparable with itself only: clock ticks since a certain boot on Linux, a date elsewhere. */
  startedAt: string
  /** Its command line, arguments separated by spaces. */
  command: string
}

/** Undefined when no process has this pid, or when it has ended and only waits for its parent. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  return process.platform === 'linux' ? identifyByProc(pid) : identifyByPs(pid)
}

/** Not by `ps`: slim images do not have it, and its dates move when the clock is set. */
function identifyByProc(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program is in parentheses and may hold spaces and parentheses; the state is field 3, the start time 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z') return undefined
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    return { pid, startedAt: `${boot}/${fields[19]}`, command }
  } catch {
    return undefined
  }
}

/** `lstart` is 24 characters long in the C locale: "Fri Nov 27 09:50:08 2026". */
export function identifyByPs(pid: number): ProcessIdentity | undefined {
  const args = ['-ww', '-o', 'lstart=', '-o', 'command=', '-p', String(pid)]
  const { status, stdout } = spawnSync('ps', args, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  })
  if (status !== 0) return undefined
  const [, startedAt, command] = /^\s*(\w{3} \w{3} +\d+ [\d:]{8} \d{4})\s+(.*)/s.exec(stdout) ?? []
  if (startedAt === undefined || command === undefined) return undefined
  return command.includes('<defunct>') ? undefined : { pid, startedAt, command: command.trim() }
}
