/**
 * What is wrong with the value of one variable, and what to do: one sentence. Numbers, flags and words are quoted; texts, URLs and
 * keys never are, because they may hold a secret, also in the wrong variable.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { parseTarget } from '@shop/redis-kit/connection/target'

export interface Variable {
  type?: string
  minimum?: number
  maximum?: number
  minLength?: number
  pattern?: string
  enum?: readonly unknown[]
  doc?: string
  expects?: string
  /** What the text must be besides matching its pattern. */
  form?: Form
  secret?: boolean
  default?: unknown
}

export type Form = 'http-url' | 'postgres-url' | 'redis-url' | 'public-key' | 'private-key'

export function missing(name: string, variable: Variable): string {
  return `${name} is missing: set it to ${expected(variable)} (${variable.doc}).`
}

/** Undefined when the value can be used. */
export function problemOf(name: string, variable: Variable, value: unknown): string | undefined {
  const found = fits(variable, value) ? formProblem(variable, value) : misfit(variable, value)
  return found === undefined ? undefined : `${name} ${found}: set it to ${expected(variable)} (${variable.doc}).`
}

export function expected(variable: Variable): string {
  return variable.expects ?? `a valid ${variable.type ?? 'value'}`
}

/** Checks the keywords that the builders of config.ts use. */
function fits(variable: Variable, value: unknown): boolean {
  if (variable.enum !== undefined) return variable.enum.includes(value)
  if (variable.type === 'boolean') return typeof value === 'boolean'
  if (typeof value === 'number') {
    const { type, minimum = -Infinity, maximum = Infinity } = variable
    return (
      (type === 'integer' ? Number.isSafeInteger(value) : type === 'number') && value >= minimum && value <= maximum
    )
  }
  if (typeof value !== 'string' || variable.type !== 'string') return false
  return value.length >= (variable.minLength ?? 0) && new RegExp(variable.pattern ?? '').test(value)
}

function misfit({ type, enum: words, form, minLength = 0 }: Variable, value: unknown): string {
  if (type !== 'string' || words !== undefined) return `is ${JSON.stringify(String(value).slice(0, 40))}`
  if (form?.endsWith('-url')) {
    const scheme = /^([a-z][a-z0-9+.-]{0,19}):\/\//i.exec(String(value))?.[1]
    return scheme === undefined ? 'is not a URL' : `begins with ${scheme}://`
  }
  return String(value).length < minLength ? `has ${String(value).length} characters` : 'has the wrong form'
}

function formProblem({ form }: Variable, value: unknown): string | undefined {
  const text = String(value)
  if (form === 'redis-url') return redisProblem(text)
  if (form === 'postgres-url') return postgresProblem(text)
  if (form === 'http-url') return URL.canParse(text) ? undefined : 'is not a valid URL'
  if (form === 'public-key') return keyProblem(text, 'public')
  if (form === 'private-key') return keyProblem(text, 'private')
  return undefined
}

function redisProblem(url: string): string | undefined {
  try {
    parseTarget(url)
    return undefined
  } catch (error) {
    return `is not valid (${(error as Error).message})`
  }
}

function postgresProblem(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null) return 'is not a valid URL (special characters in the password must be percent-encoded)'
  if (url.hostname === '') return 'names no host'
  return url.pathname.length < 2 ? 'names no database' : undefined
}

/** A private key in the place of the public one would work, and would be in the hands of every service. */
function keyProblem(text: string, kind: 'public' | 'private'): string | undefined {
  const pem = Buffer.from(text, 'base64').toString()
  const label = /-----BEGIN (?:\w+ )*(PUBLIC|PRIVATE) KEY-----/.exec(pem)?.[1]?.toLowerCase()
  if (label === undefined) return 'is not a PEM in base64'
  if (label !== kind) return `holds a ${label} key`
  try {
    const key: KeyObject = kind === 'public' ? createPublicKey(pem) : createPrivateKey(pem)
    return key.asymmetricKeyType === 'ed25519' ? undefined : `holds a key of type ${key.asymmetricKeyType}`
  } catch {
    return 'holds a damaged key'
  }
}
