/**
 * The processes behind the URL, for the tests that break them: known when `npm run e2e` started a stack of its own,
 * unknown for a shop that runs elsewhere.
 */
interface Part {
  name: string
  pid: number
}

const parts: readonly Part[] = JSON.parse(process.env.SHOP_PARTS ?? '[]')

export const ownStack = parts.length > 0

/** SIGKILL: no goodbye. The stack starts the process again after a moment. */
export function kill(name: string): void {
  const part = parts.find((one) => one.name === name)
  if (!part) throw new Error(`the stack has no part named ${name}`)
  process.kill(part.pid, 'SIGKILL')
}

interface Account {
  email: string
  password: string
  role: 'customer' | 'admin'
}

/** The URLs that the lines under "Look at it" use, of a stack of our own: CACHE, STATE, ORDER_DB, SHOP. */
export const lookUrls: Readonly<Record<string, string>> = JSON.parse(process.env.SHOP_LOOK ?? '{}')

/** Who is seeded in a stack of our own; nobody in a shop that runs elsewhere. */
export const accounts: readonly Account[] = JSON.parse(process.env.SHOP_ACCOUNTS ?? '[]')
