/**
 * What the ACL refuses this process: said in the log once per kind, with the file that is to be edited, and in health for a minute after
 * the last one. Every connection of redis-kit reports it, also when a caller catches the error.
 */
import { whyWithheld } from '@shop/redis-kit/acl/commands'
import { notPermittedChannel } from '@shop/redis-kit/connection/server/permission'
import { RedisNotPermitted } from '@shop/redis-kit/errors'
import type { Log } from '../telemetry/log.ts'
import type { Probe } from './health.ts'

export interface PermissionOptions {
  /** Whose `apps/<service>/keys.ts` declares what it uses. */
  service: string
  log: Pick<Log, 'error'>
  /** Called with the same sentences as the log. @default ignored */
  onRefusal?: (sentence: string) => void
  /** How long a refusal is shown in health. @default 60_000 */
  shownMs?: number
}

const maxKindCount = 100
const commandsFile = 'libs/redis-kit/acl/commands.ts'

export interface Permissions {
  probe: Probe
  stop(): void
}

/** From now on: refusals while a service is built are the ones that matter most. */
export function watchPermissions({
  service,
  log,
  onRefusal = () => {},
  shownMs = 60_000,
}: PermissionOptions): Permissions {
  const told = new Set<string>()
  let last: { refusal: RedisNotPermitted; atMs: number } | undefined
  notPermittedChannel.subscribe(hear)
  return {
    probe: { name: 'redis-permissions', required: false, check },
    stop: () => void notPermittedChannel.unsubscribe(hear),
  }

  function hear(message: unknown): void {
    if (!(message instanceof RedisNotPermitted)) return
    last = { refusal: message, atMs: performance.now() }
    const { user, missing, command, script, keys } = message
    const kind = [user, missing, command, script].join(' ')
    if (told.has(kind) || told.size >= maxKindCount) return
    told.add(kind)
    const advice = adviceFor(message, service)
    log.error({ user, missing, command, script, keys, advice }, message.message)
    onRefusal(`${message.message}: ${advice}`)
  }

  async function check(): Promise<void> {
    if (last !== undefined && performance.now() - last.atMs < shownMs) throw last.refusal
  }
}

/** One sentence: the file to edit, and then what. */
export function adviceFor({ missing, command }: RedisNotPermitted, service: string): string {
  const reason = missing === 'command' && command !== undefined ? whyWithheld(command) : undefined
  if (reason !== undefined) return `no service may use ${command}, which ${reason}; see ${commandsFile}`
  const declaration = `apps/${service}/keys.ts`
  const what = missing === 'command' ? 'a key family of the type of this command' : `the family of this ${missing}`
  return `declare ${what} in ${declaration}, then restart the Redis servers or run ACL LOAD`
}
