/** `npm run streams`: how far behind the readers of the streams are, and what to do with what they have given up. */
import { createInterface } from 'node:readline/promises'
import { signInAtTerminal } from './admin-session.ts'
import { counted } from './counted.ts'
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
      return { text: `It is back on the stream as ${redriven.streamId}.\n`, json: redriven }
    }
    case 'redrive all':
      return redriveAll(streams, command.topic, yes)
    case 'discard':
      return discard(streams, command.topic, command.id, yes)
  }
}

async function redriveAll(streams: StreamConsole, topic: string, yes: boolean): Promise<Result> {
  const count = await countOf(streams, topic)
  if (count === 0) return { text: 'There are no dead letters.\n', json: { redrivenCount: 0, remainingCount: 0 } }
  await confirm(`Put ${counted(count, 'dead letter')} of ${topic} back on the stream?`, yes)
  const done = await streams.redriveAll(topic, count)
  return {
    text: `Back on the stream: ${done.redrivenCount}. Dead letters that remain: ${done.remainingCount}.\n`,
    json: done,
  }
}

async function discard(streams: StreamConsole, topic: string, id: string, yes: boolean): Promise<Result> {
  const letter = await streams.letter(topic, id)
  await confirm(
    `Throw away ${letter.type ?? 'this'} of ${letter.key ?? 'nothing known'}, given up by ${letter.group}?`,
    yes,
  )
  await streams.discard(topic, id)
  return { text: 'It is thrown away.\n', json: letter }
}

async function countOf(streams: StreamConsole, topic: string): Promise<number> {
  const { items, unavailable } = await streams.overview()
  const found = items.find((item) => item.topic === topic)
  if (found) return found.deadLetterCount
  const isAway = unavailable.some(({ topics }) => topics.includes(topic))
  throw new Error(isAway ? `${topic} cannot be seen now.` : `No service has a topic ${topic}.`)
}

async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return
  if (!process.stdin.isTTY) throw new Error('Nobody is here to be asked: say --yes.')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question} [y/N] `)
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new Error('Nothing was done.')
}

process.exitCode = await main(process.argv.slice(2), process.env)
