import { expect, test } from 'vitest'
import { requireKnownVariables } from './known-variables.ts'

const complaint = (name: string, service?: string) =>
  requireKnownVariables([{ name, value: '1', ...(service !== undefined && { service }) }]).then(
    () => undefined,
    (error: Error) => error.message,
  )

test.each([
  ['CART_TTL', 'CART_TTL_MS'],
  ['DATABSE_URL', 'DATABASE_URL'],
  ['LOGLEVEL', 'LOG_LEVEL'],
  ['TRUST_PROXYS', 'TRUST_PROXY'],
  ['PROT', 'PORT'],
  ['FOO', undefined],
  ['PUBLIC_URL', undefined],
  ['A', undefined],
])('for %s the nearest name is %s', async (name, near) => {
  const hint = near === undefined ? '' : ` the nearest name is ${near};`
  expect(await complaint(name)).toBe(
    `--env names ${name}, which every service ignores:${hint} .env.example lists all names.`,
  )
})

test('a known name, and what Node reads itself, pass', async () => {
  expect(await complaint('TRUST_PROXY', 'gateway')).toBeUndefined()
  expect(await complaint('NODE_EXTRA_CA_CERTS')).toBeUndefined()
})
