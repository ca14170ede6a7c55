/** The command line of the lab. */
import { EXPERIMENTS, type ExperimentName } from '@shop/redis-kit/rate-limit/lab'
import { parseArguments } from '../command-line/arguments.ts'

export const help = `Send the same bursts of requests to every rate limiter of redis-kit, on a real
Redis and by its clock. Draw what each one admits, and compare each decision
with a reference.

  npm run rate-limit-lab                   every experiment
  npm run rate-limit-lab -- edge double    these

${EXPERIMENTS.map(({ name, title }) => `  ${name.padEnd(13)}${title}`).join('\n')}

  --redis URL  a running Redis            (default: a server of its own)
  --json FILE  write the results as JSON
  --svg DIR    write a picture of each experiment to this folder
  --help       this text

An experiment takes at most 30 s. It writes keys named lab:* and deletes them.
NO_COLOR and FORCE_COLOR decide about colours.

Exit code: 0 every decision is right, 1 a wrong decision or a failed run,
2 invalid options, 130 interrupted.
`

export interface LabOptions {
  experiments: readonly ExperimentName[]
  redisUrl?: string | undefined
  jsonFile?: string | undefined
  svgFolder?: string | undefined
}

/** Throws an Error with one sentence for a mistake. */
export function parseOptions(args: readonly string[]): LabOptions | 'help' {
  const { values, positionals } = parseArguments({
    args: [...args],
    allowPositionals: true,
    options: {
      redis: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const experiments = positionals.length === 0 ? EXPERIMENTS.map(({ name }) => name) : positionals.map(experimentNamed)
  return { experiments, redisUrl: redisUrl(values.redis), jsonFile: values.json, svgFolder: values.svg }
}

function experimentNamed(text: string): ExperimentName {
  const found = EXPERIMENTS.find(({ name }) => name === text)
  if (found) return found.name
  throw new Error(`Unknown experiment "${text}": choose from ${EXPERIMENTS.map(({ name }) => name).join(', ')}.`)
}

function redisUrl(text: string | undefined): string | undefined {
  const isUrl = text === undefined || /^rediss?(\+\w+)?:\/\/./.test(text)
  if (!isUrl) throw new Error(`--redis must be a URL like redis://localhost:6379, not "${text}".`)
  return text
}
