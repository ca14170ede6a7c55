/**
 * In how many files each mechanism of time and number is written. A place is a production file of the kits or the apps with the
 * mark of the mechanism in its text; its home in libs/redis-kit/flow is one place more. The marks are what the code has in common
 * where it is written by hand. They are found in text: a new way to write a mechanism needs a new mark.
 */
import { type Checkout, isTest } from './checkout.ts'

const home = 'libs/redis-kit/flow/'

const marks = {
  pause: /from 'node:timers\/promises'|^function pause\(/m,
  alarm: /hasRung/,
  backoff: /\b2 \*\* (?!\d)/,
  jitter: /\* \(?[\d.A-Z_]+ [-+] [^\n]*random\(\)/,
  every: /while \(!signal\.aborted\)/,
  deadline: /Promise\.race\(|function within|LoadTimeout\(/,
  coalesce: /process\.nextTick\((flush|send|ask|run)\)|setImmediate\((ask|run|send)\)/,
  slots:
    /runningCount(\+\+| \+= 1)|countOf = new Map|inFlightCount \+= 1|function createCounter|outCount \+= 1|MAX_AT_ONCE \}, worker/,
}

export type Mechanism = keyof typeof marks

/** The files of each mechanism. */
export function mechanismPlaces({ sources }: Checkout): Record<Mechanism, string[]> {
  const production = [...sources].filter(
    ([path]) => /^(libs\/(redis|service)-kit|apps)\//.test(path) && !isTest(path) && !path.startsWith(home),
  )
  const places = Object.entries(marks).map(([name, mark]) => [
    name,
    [
      ...homesOf(name).filter((path) => sources.has(path)),
      ...production.filter(([, text]) => mark.test(text)).map(([path]) => path),
    ],
  ])
  return Object.fromEntries(places)
}

function homesOf(mechanism: string): string[] {
  const names = mechanism === 'slots' ? ['slots', 'bulkhead'] : [mechanism]
  return names.map((name) => `${home}${name}.ts`)
}
