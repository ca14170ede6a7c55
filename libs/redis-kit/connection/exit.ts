/**
 * The last step before the socket: `sendCommand` of one connection. Here it is known what was really written, and here a
 * command that has failed meanwhile is stopped, whatever queue of ioredis it had been waiting in.
 */
import type { Command, Redis as Node } from 'ioredis'
import { createCork } from './corking.ts'
import { type Batch, pendingOf } from './pending.ts'
import { isDemotion } from './profiles.ts'
import { tendOwnCommand } from './server/handshake.ts'
import { watchWrite } from './written.ts'

export interface ExitOptions {
  /** Why a command that did not come through the gate may not go out: it was given to a Cluster's node itself. */
  mistakeIn?: (command: Command, batch: Batch) => Error | undefined
}

export function guardExit(node: Node, { mistakeIn }: ExitOptions = {}): void {
  const write = node.sendCommand.bind(node)
  const answerError = node.handleReconnection.bind(node)
  const cork = createCork()

  node.sendCommand = (command: Command, batch?: Batch) => {
    const record = pendingOf(command)
    if (record?.isSettled) return command.promise // its caller was told that it failed: it must not happen any more
    const mistake = record ? undefined : mistakeIn?.(command, batch)
    if (mistake) {
      command.reject(mistake)
      return command.promise
    }
    if (!record) tendOwnCommand(command)
    if (node.stream?.writable) cork(node.stream)
    write(command, batch)
    if (record) record.isSent = node.commandQueue.peekBack()?.command === command
    if (record?.isSent) watchWrite(command, node.stream)
    return command.promise
  }
  /** ioredis calls this with each error reply, before it rejects the command or, on a Cluster, sends it elsewhere. */
  node.handleReconnection = (error, item) => {
    // An error is an answer too: MOVED, ASK and TRYAGAIN say that it was not executed here.
    const record = pendingOf(item.command as Command)
    if (record) record.isSent = false
    if (isDemotion(error)) node.emit('demoted', error)
    answerError(error, item)
  }
}
