import { stripVTControlCharacters } from 'node:util'

/** What a service that does not start has written for people: without JSON, stacks and the frames of Node itself. */

const maxLines = 6
/** The place in Node that threw, with its line and a caret: the place in the service follows. */
const placeInNode = /^node:internal\/.*\n.*\n\s*\^\n/gm
const noise = /^(?:\{"|\}$|\s+at |\s+code: '|Debugger |For help|Node\.js v\d)/

export function reasonIn(log: string): string {
  const lines = stripVTControlCharacters(log).replaceAll(placeInNode, '').split('\n')
  return lines
    .filter((line) => line.trim() !== '' && !noise.test(line))
    .slice(-maxLines)
    .join('\n')
}
