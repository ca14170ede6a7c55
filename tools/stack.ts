/** `npm run demo`: the whole shop on this machine until Ctrl-C. */
import { interruption } from './stack/interruption.ts'
import { lookUrls, writeLookFile } from './stack/look.ts'
import { helpOf, parseOptions, type StackOptions } from './stack/options.ts'
import { type Stack, startStack } from './stack/start.ts'
import { summary } from './stack/summary.ts'

/** `npm run dev` is this tool with --watch. */
const script = process.argv.includes('--watch') ? 'dev' : 'demo'

// A closed terminal ends the shop by SIGHUP; its last words have no reader then.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
process.exit(await main())

async function main(): Promise<number> {
  const options = read()
  if (typeof options === 'number') return options
  const interrupted = interruption()
  const startedAtMs = performance.now()
  try {
    const stack = await startStack(options, report, interrupted)
    writeLookFile(options.dataDir, lookUrls(stack))
    process.stdout.write(`${describe(stack, options, performance.now() - startedAtMs)}\n`)
    const reason = await Promise.race([stack.broken, once(interrupted)])
    report(reason === undefined ? '\nStopping …' : `\n${reason.message}\nStopping all processes.`)
    await stack.stop()
    report('Stopped; no process is left running.')
    return reason === undefined ? 0 : 1
  } catch (error) {
    if (interrupted.aborted) report('Stopped before the shop was open; no process is left running.')
    else report(error instanceof Error ? error.message : String(error))
    return interrupted.aborted ? 130 : 1
  }
}

function report(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Text for people, one line of JSON for programs. */
function describe(stack: Stack, options: StackOptions, tookMs: number): string {
  if (!options.json) return summary(stack, options, tookMs)
  const { url, accounts } = stack
  return JSON.stringify({ url, accounts, look: lookUrls(stack), parts: stack.parts() })
}

function read(): StackOptions | number {
  try {
    const options = parseOptions(process.argv.slice(2))
    if (options !== 'help') return options
    process.stdout.write(helpOf(script))
    return 0
  } catch (error) {
    report(`${(error as Error).message}\nSee npm run ${script} -- --help`)
    return 2
  }
}

function once(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
