/** Command lines of the tools: every mistake is an Error with one sentence that says what to do. */
import { parseArgs } from 'node:util'

/** `parseArgs` of Node, with its errors in the words of a person who typed the command. */
export const parseArguments: typeof parseArgs = (config) => {
  try {
    return parseArgs(config)
  } catch (error) {
    throw new Error(sentenceOf(error as NodeJS.ErrnoException), { cause: error })
  }
}

function sentenceOf({ code, message }: NodeJS.ErrnoException): string {
  const [, quoted = ''] = /'([^']+)'/.exec(message) ?? []
  const [option = quoted] = quoted.split(/[ ,<]/)
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `Unknown option ${option}.`
  if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') return `Unexpected argument "${quoted}".`
  if (/argument missing|ambiguous/.test(message)) return `${option} needs a value.`
  return /does not take an argument/.test(message) ? `${option} takes no value.` : message
}

/** The origin of the shop that --url or SHOP_URL names. */
export function shopUrl(text: string): string {
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol)) return url.origin
  throw new Error(`--url (or SHOP_URL) must be a URL like http://localhost:8080, not "${text}".`)
}

/** Throws unless the text is a whole number within the limits. */
export function wholeNumber(option: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  const limits = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
  throw new Error(`${option} must be a whole number ${limits}, not "${text}".`)
}
