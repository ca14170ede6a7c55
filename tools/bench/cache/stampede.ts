/** A missing value that everybody wants at once: who loads it, how often, and when the last one has it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { countCommands } from '@shop/test-kit/command-counter'
import type { Contender, Plan, Running, Sample, Table } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { peerNames } from './libraries.ts'
import type { StampedeAnswer, StampedeTask } from './stampede-process.ts'

const processCount = 4
const readCount = 250
const loadMs = 50

/** Four processes, told at the same time to read the same new key 250 times. */
async function start(id: string, { redisUrl }: Servers): Promise<Running> {
  const children = Array.from({ length: processCount }, () =>
    fork(join(import.meta.dirname, 'stampede-process.ts'), [id, redisUrl], { stdio: 'inherit' }),
  )
  await Promise.all(children.map((child) => once(child, 'message')))
  const counter = await countCommands(redisUrl)

  async function measure({ round }: Plan): Promise<Sample> {
    const task: StampedeTask = { key: `stampede-${id}-${round}`, readCount, loadMs }
    await counter.take()
    const answers = await Promise.all(children.map((child) => ask(child, task)))
    const { sentCount } = await counter.take()
    const first = Math.min(...answers.map(({ startedAtMs }) => startedAtMs))
    const last = Math.max(...answers.map(({ endedAtMs }) => endedAtMs))
    const sum = (field: 'loadCount' | 'errorCount') => answers.reduce((total, answer) => total + answer[field], 0)
    return { loads: sum('loadCount'), commands: sentCount, lastMs: last - first, errors: sum('errorCount') }
  }
  async function close() {
    counter.close()
    for (const child of children) child.disconnect()
    await Promise.all(children.map((child) => once(child, 'exit')))
  }
  return { measure, close }
}

async function ask(child: ChildProcess, task: StampedeTask): Promise<StampedeAnswer> {
  const answer = once(child, 'message')
  child.send(task)
  return (await answer)[0]
}

const contender = (id: string, label: string, role: Contender<Servers>['role']): Contender<Servers> => ({
  id,
  label,
  role,
  start: (servers) => start(id, servers),
})

export const stampede: Table<Servers> = {
  id: 'stampede',
  title: 'Stampede: loads of one missing value',
  note: '4 processes, 250 reads each at the same moment, the loader takes 50 ms. Commands are those that Redis got, scripts as one.',
  columns: [
    { metric: 'loads', label: 'loads', format: 'count' },
    { metric: 'commands', label: 'commands', format: 'count' },
    { metric: 'lastMs', label: 'last answer', format: 'ms' },
    { metric: 'errors', label: 'errors', format: 'count' },
  ],
  ratios: [],
  contenders: [
    contender('ours', 'redis-kit/cache', 'ours'),
    contender('naive', 'GET, load, SET', 'control'),
    ...peerNames.map((name) => contender(name, name, 'peer')),
  ],
  goals: [
    { text: 'one load', metric: 'loads', contender: 'ours', atMost: 1 },
    { text: 'at most 60 commands', metric: 'commands', contender: 'ours', atMost: 60 },
    { text: 'the last answer within 65 ms', metric: 'lastMs', contender: 'ours', atMost: 65 },
  ],
}
