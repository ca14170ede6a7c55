/** A password from the environment, or from a person who types it without it being seen. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** @param isStdinFree false when standard input is the file. Throws a sentence when there is nobody to ask. */
export async function readPassword(email: string, env: NodeJS.ProcessEnv, isStdinFree: boolean): Promise<string> {
  if (env.SHOP_ADMIN_PASSWORD) return env.SHOP_ADMIN_PASSWORD
  if (!isStdinFree || !process.stdin.isTTY) {
    throw new Error(`Set SHOP_ADMIN_PASSWORD to the password of ${email}: there is no terminal to ask for it.`)
  }
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: unseen, terminal: true })
  process.stderr.write(`Password of ${email}: `)
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
