/** Why a database of the demo did not start, in one sentence that says what to do. */
import { StartError } from '@shop/test-kit/server-process'

/** Of the server's own log, the reason: the last line that Redis or Postgres marks as grave. */
export function reasonIn(log: string): string {
  const lines = log.split('\n').flatMap((line) => {
    const match = /^\d+:\w \d.* # (?<redis>.+)$|\b(?:FATAL|PANIC):\s+(?<postgres>.+)$/.exec(line)
    const reason = match?.groups?.redis ?? match?.groups?.postgres
    return reason === undefined ? [] : [reason]
  })
  const telling = lines.filter((line) => !/^Warning|WARNING|Server initialized/.test(line))
  const last = telling.at(-1) ?? log.trim().split('\n').at(-1) ?? ''
  return last.trim().replace(/\.$/, '')
}

/** The sentence for a person; any other error stays what it is. */
export function explainDataFailure(name: string, dir: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (!(error instanceof StartError) && code === undefined) return error
  const reason = error instanceof StartError ? reasonIn(error.log) : message
  return new Error(`${name} cannot start on the data in ${dir}: ${reason}. ${advice(reason)}`, { cause: error })
}

/** What Redis and Postgres write about files that they cannot use. Nothing else is a reason to delete them. */
const damage =
  /\b(?:corrupt\w*|damaged|invalid (?:page|data|checkpoint|magic|record)|checksum|bad file format|short read|wrong signature|unexpected end|incompatible|not a valid|not recognized|could not (?:locate|find|open|read|stat)|can't handle RDB|unrecoverable|internal error in RDB|manifest|append.?only|AOF|RDB|ENOENT|ENOTDIR|EISDIR)\b/i

function advice(reason: string): string {
  if (/No space left|ENOSPC/i.test(reason)) return 'Free space on that disk, then start again.'
  if (/Permission denied|EACCES|EPERM|invalid permissions|wrong ownership|Read-only|EROFS/i.test(reason)) {
    return 'Give the folder to the user who starts the shop, or choose another one with --data DIR.'
  }
  if (damage.test(reason)) return 'Repair the files, or start with --fresh, which deletes all data of this shop.'
  return 'The data is unchanged: correct this problem, then start again.'
}
