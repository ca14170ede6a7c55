/** `npm run demo`: the whole shop on this machine until Ctrl-C. */
import { help, parseOptions, type StackOptions } from './stack/options.ts'
import { type Stack, startStack } from './stack/start.ts'
import { summary } from './stack/summary.ts'

process.exitCode = await main()

async function main(): Promise<number> {
  const options = read()
  if (typeof options === 'number') return options
  const interrupted = nextSignal()
  const startedAtMs = performance.now()
  const report = (line: string) => process.stderr.write(`${line}\n`)
  try {
    const starting = startStack(options, report)
    const stack = await Promise.race([starting, interrupted])
    if (typeof stack === 'string') {
      report('\nStopping …')
      await starting.then((started) => started.stop()).catch(() => {})
      return 130
    }
    process.stdout.write(`${describe(stack, options, performance.now() - startedAtMs)}\n`)
    const reason = await Promise.race([stack.broken, interrupted])
    report(typeof reason === 'string' ? '\nStopping …' : `\n${reason.message}\nStopping everything.`)
    await stack.stop()
    report('Stopped; nothing is left running.')
    return typeof reason === 'string' ? 0 : 1
  } catch (error) {
    report(error instanceof Error ? error.message : String(error))
    return 1
  }
}

/** A table for people, one line of JSON for programs. */
function describe(stack: Stack, options: StackOptions, tookMs: number): string {
  if (!options.json) return summary(stack, options.dataDir, tookMs)
  return JSON.stringify({ url: stack.url, accounts: stack.accounts, parts: stack.parts() })
}

function read(): StackOptions | number {
  try {
    const options = parseOptions(process.argv.slice(2))
    if (options !== 'help') return options
    process.stdout.write(help)
    return 0
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nSee npm run demo -- --help\n`)
    return 2
  }
}

/** Resolves at the first signal to stop; at the second one the process ends at once, and what it started with it. */
function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      resolve(signal)
      process.once(signal, () => process.exit(130))
    })
  }
  return promise
}
