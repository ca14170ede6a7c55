/**
 * The last step before the socket: `sendCommand` of one connection. Here it is known what was really written, and here a
 * command that has failed meanwhile is stopped, whatever queue of ioredis it had been waiting in.
 */
import type { Command, Redis as Node } from 'ioredis'
import { createCork } from './corking.ts'
import { type Batch, pendingOf } from './pending.ts'

export function guardExit(node: Node): void {
  const write = node.sendCommand.bind(node)
  const answerError = node.handleReconnection.bind(node)
  const cork = createCork()

  node.sendCommand = (command: Command, batch?: Batch) => {
    const record = pendingOf(command)
    if (record?.isSettled) return command.promise // its caller was told that it failed: it must not happen any more
    if (!record) tendOwnCommand(command)
    if (node.stream?.writable) cork(node.stream)
    write(command, batch)
    if (record) record.isSent = node.commandQueue.peekBack()?.command === command
    return command.promise
  }
  /** ioredis calls this with each error reply, before it rejects the command or, on a Cluster, sends it elsewhere. */
  node.handleReconnection = (error, item) => {
    // An error is an answer too: MOVED, ASK and TRYAGAIN say that it was not executed here.
    const record = pendingOf(item.command as Command)
    if (record) record.isSent = false
    answerError(error, item)
  }
}

/** Commands of ioredis itself: HELLO, CLIENT SETNAME, INFO; ASKING before a redirected command. */
function tendOwnCommand(command: Command): void {
  // ioredis does not listen to all of them, and a lost connection rejects each: that would end the process.
  command.promise.catch(() => {})
  if (command.name !== 'info') return
  // It asks INFO whether the server is still loading. A user who may not ask is connected all the same, with no warning.
  const { reject } = command
  command.reject = (error) => {
    if (error.message.startsWith('NOPERM')) command.resolve(Buffer.alloc(0))
    else reject(error)
  }
}
