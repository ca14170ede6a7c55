/**
 * SIGHUP: a service reads again what may change while it runs. The signal is heard from the start: by default it ends a process, and who
 * changes a file does not know which instances are just starting.
 */
import type { Log } from '../telemetry/log.ts'

type Reload = () => Promise<void>

export interface Hangups {
  /** From now on each signal reloads. One that came before reloads now. Without `reload` the signal ends the process, as by default. */
  reloadBy(reload: Reload | undefined): void
}

export function hearHangups(log: Log): Hangups {
  let reload: Reload | undefined
  let isDue = false
  let isRunning = false
  process.on('SIGHUP', hear)
  return { reloadBy }

  function hear() {
    log.info('reload requested by SIGHUP')
    isDue = true
    void work()
  }

  function reloadBy(given: Reload | undefined) {
    reload = given
    if (reload !== undefined) return void work()
    process.off('SIGHUP', hear)
    if (isDue) process.kill(process.pid, 'SIGHUP')
  }

  /** One after the other: signals during a reload are one more. A reload that fails changes nothing and is logged. */
  async function work(): Promise<void> {
    if (reload === undefined || isRunning) return
    isRunning = true
    while (isDue) {
      isDue = false
      await reload().catch((error) => log.error({ err: error }, 'reload failed'))
    }
    isRunning = false
  }
}
