/** `npm run streams`: how far behind the readers of the streams are, and what to do with what they have given up. */
import { createInterface } from 'node:readline/promises'
import { signInAtTerminal } from './command-line/admin-session.ts'
import { counted } from './command-line/counted.ts'
import { createStreamConsole, type StreamConsole } from './streams/console.ts'
import { help, parseOptions, type StreamsOptions } from './streams/options.ts'
import { lettersText, letterText, overviewText } from './streams/print.ts'

interface Result {
  text: string
  json: unknown
  /** 1: it was done, but not all of it could be seen. @default 0 */
  exitCode?: number
}

/** Returns the exit code. */
async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: StreamsOptions | 'help'
  try {
    options = parseOptions(args, env)
  } catch (error) {
    return fail(error as Error, 2)
  }
  if (options === 'help') {
    process.stdout.write(help)
    return 0
  }
  try {
    const admin = await signInAtTerminal({ url: options.url, email: options.email, env })
    try {
      const { text, json, exitCode = 0 } = await run(createStreamConsole(admin), options)
      process.stdout.write(options.json ? `${JSON.stringify(json)}\n` : text)
      return exitCode
    } finally {
      await admin.signOut()
    }
  } catch (error) {
    return fail(error as Error, 1)
  }
}

function fail({ message }: Error, exitCode: number): number {
  process.stderr.write(`${message}\nSee npm run streams -- --help\n`)
  return exitCode
}

async function run(streams: StreamConsole, { command, yes }: StreamsOptions): Promise<Result> {
  switch (command.name) {
    case 'list': {
      const overview = await streams.overview()
      return { text: overviewText(overview), json: overview, exitCode: overview.unavailable.length > 0 ? 1 : 0 }
    }
    case 'dead list': {
      const { items, hasMore } = await streams.letters(command.topic, command.limit)
      return { text: lettersText(items, hasMore), json: { items, hasMore } }
    }
    case 'dead show': {
      const letter = await streams.letter(command.topic, command.id)
      return { text: letterText(letter), json: letter }
    }
    case 'redrive': {
      const redriven = await streams.redrive(command.topic, command.id)
      return { text: `Redriven as ${redriven.streamId}.\n`, json: redriven }
    }
    case 'redrive all':
      return redriveAll(streams, command.topic, yes)
    case 'discard':
      return discard(streams, command.topic, command.id, yes)
  }
}

async function redriveAll(streams: StreamConsole, topic: string, yes: boolean): Promise<Result> {
  const count = await countOf(streams, topic)
  if (count === 0) return { text: 'No dead letters.\n', json: { redrivenCount: 0, remainingCount: 0 } }
  await confirm(`Redrive ${counted(count, 'dead letter')} of ${topic}?`, yes)
  const done = await streams.redriveAll(topic, count)
  return {
    text: `${counted(done.redrivenCount, 'dead letter')} redriven, ${done.remainingCount} remaining.\n`,
    json: done,
  }
}

async function discard(streams: StreamConsole, topic: string, id: string, yes: boolean): Promise<Result> {
  const letter = await streams.letter(topic, id)
  await confirm(
    `Discard ${letter.type ?? 'an event'} of ${letter.key ?? 'an unknown key'}, dead-lettered by ${letter.group}?`,
    yes,
  )
  await streams.discard(topic, id)
  return { text: 'Discarded.\n', json: letter }
}

async function countOf(streams: StreamConsole, topic: string): Promise<number> {
  const { items, unavailable } = await streams.overview()
  const found = items.find((item) => item.topic === topic)
  if (found) return found.deadLetterCount
  const isAway = unavailable.some(({ topics }) => topics.includes(topic))
  throw new Error(
    isAway
      ? `${topic} is not available now: try again later.`
      : `Unknown topic ${topic}: npm run streams -- list shows all topics.`,
  )
}

async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return
  if (!process.stdin.isTTY) throw new Error('Add --yes: without a terminal the question cannot be asked.')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question} [y/N] `)
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new Error('Cancelled; no dead letter was changed.')
}

process.exitCode = await main(process.argv.slice(2), process.env)
