/**
 * Tells when a command has left this process. What the kernel has taken is sent even if the process is killed in the next moment,
 * so a step that may kill it can be announced to the server without waiting for the answer.
 */
import type { Socket } from 'node:net'
import type { Command } from 'ioredis'

const WRITTEN = Symbol('written')
type Watched = Command & { [WRITTEN]?: () => void }
const NOTHING = Buffer.alloc(0)

/** Calls `tell` each time the kernel has taken the command: again after it was resent, never if it was never sent. */
export function whenWritten(command: Command, tell: () => void): void {
  const watched: Watched = command
  watched[WRITTEN] = tell
}

/** To be called after the command was written to the stream. An empty write behind it is done when all before it are. */
export function watchWrite(command: Watched, stream: Socket): void {
  const tell = command[WRITTEN]
  if (tell) stream.write(NOTHING, (error) => !error && tell())
}
