/** Processes that are replaced when they die, and may be killed and frozen meanwhile. */
import { type ChildProcess, spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'

interface Member {
  name: string
  child: ChildProcess
  isFrozen: boolean
}

export function startCrowd(count: number, file: string, args: (name: string) => string[]) {
  const path = new URL(file, import.meta.url).pathname
  const members: Member[] = []
  let [startedCount, deathCount, isStopping] = [0, 0, false]
  for (let index = 0; index < count; index++) members.push(start(index))
  onTestFinished(stop)
  return { members, kill, freeze, thaw, stop, deathCount: () => deathCount }

  function start(index: number): Member {
    const name = `${path.includes('relay') ? 'relay' : 'consumer'}-${++startedCount}`
    const child = spawn(process.execPath, [path, ...args(name)], { stdio: ['ignore', 'inherit', 'inherit'] })
    child.once('exit', () => {
      if (isStopping) return
      deathCount += 1
      members[index] = start(index)
    })
    return { name, child, isFrozen: false }
  }

  function kill(index: number): void {
    members[index]?.child.kill('SIGKILL')
  }

  function freeze(index: number): void {
    const member = members[index] as Member
    member.isFrozen = true
    member.child.kill('SIGSTOP')
  }

  function thaw(): void {
    for (const member of members.filter(({ isFrozen }) => isFrozen)) {
      member.child.kill('SIGCONT')
      member.isFrozen = false
    }
  }

  async function stop(): Promise<void> {
    if (isStopping) return
    isStopping = true
    const exits = members.map(({ child }) => new Promise((resolve) => child.once('exit', resolve)))
    for (const { child } of members) child.kill('SIGKILL')
    await Promise.all(exits)
  }
}
