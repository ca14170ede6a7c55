import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { testRedis } from '@shop/test-kit/redis'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'

const fixture = fileURLToPath(new URL('./process.fixture.ts', import.meta.url))
const redis = await testRedis({ allowImmortal: () => true })
const running = new Set<ChildProcess>()

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
})

type Told = { type: string; port: number; internalPort: number; instanceId: string }

/** The fixture as a child process, what it told and wrote so far, and ways to wait for more. */
function start(env: Record<string, string> = {}) {
  const child = fork(fixture, {
    env: { PATH: process.env.PATH, API_SECRET: 'only the fixture knows', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
  })
  running.add(child)
  const told: string[] = []
  const output = { out: '', err: '' }
  child.on('message', (message: Told) => told.push(message.type))
  child.stdout?.on('data', (chunk) => {
    output.out += chunk
  })
  child.stderr?.on('data', (chunk) => {
    output.err += chunk
  })
  // Not 'close' of the child: Node does not emit it once the channel was disconnected.
  const ended = [child, child.stdout as Readable, child.stderr as Readable].map((one, i) =>
    once(one, i ? 'close' : 'exit'),
  )
  const closed = Promise.all(ended).then(([exit]) => {
    const [code, signal] = exit as [number | null, string | null]
    running.delete(child)
    return { code, signal, told, ...output, lines: output.out.trim().split('\n').map(parse) }
  })
  return { child, told, closed, hears }

  function hears(type: string): Promise<Told> {
    return new Promise((resolve, reject) => {
      child.on('message', (message: Told) => message.type === type && resolve(message))
      closed.then(({ out, err }) => reject(new Error(`ended before it said "${type}": ${out}${err}`)))
    })
  }
}

function parse(line: string): Record<string, unknown> {
  return line === '' ? {} : JSON.parse(line)
}

const url = (port: number, path: string) => `http://127.0.0.1:${port}${path}`

describe('SIGHUP', () => {
  /** Resolves when the process has heard it. */
  async function hangUp({ child }: ReturnType<typeof start>) {
    const heard = new Promise<void>((resolve, reject) => {
      child.stdout?.on('data', (chunk) => `${chunk}`.includes('reload requested') && resolve())
      child.once('exit', (_code, signal) => reject(new Error(`ended by ${signal}`)))
    })
    child.kill('SIGHUP')
    await heard
  }

  test('reloads what can be reloaded, and a reload that fails is logged and ends nothing', async () => {
    const service = start({ RELOADS: 'true' })
    const { port } = await service.hears('listening')
    const reloaded = [service.hears('reload 1'), service.hears('reload 2')]
    service.child.kill('SIGHUP')
    await reloaded[0]
    service.child.kill('SIGHUP')
    await reloaded[1]
    expect((await fetch(url(port, '/with-schema'))).status).toBe(200)
    service.child.kill('SIGTERM')
    const { code, lines } = await service.closed
    expect(code).toBe(0)
    expect(lines.map(({ msg }) => msg)).toContain('reload failed')
  })

  test('before the process listens is heard, and reloads once it can', async () => {
    const service = start({ RELOADS: 'true', HOLD_BUILD: 'true' })
    await service.hears('building')
    await hangUp(service)
    const reloaded = service.hears('reload 1')
    service.child.send('go on')
    await reloaded
    service.child.kill('SIGTERM')
    expect(await service.closed).toMatchObject({ code: 0 })
  })

  test('during a reload is one more reload, however many come', async () => {
    const service = start({ RELOADS: 'true', HOLD_RELOAD: 'true' })
    await service.hears('listening')
    const reloaded = [service.hears('reload 1'), service.hears('reload 2')]
    await hangUp(service)
    await reloaded[0]
    for (let i = 0; i < 5; i++) await hangUp(service)
    service.child.send('go on')
    await reloaded[1]
    service.child.kill('SIGTERM')
    const { code, told } = await service.closed
    expect([code, told.filter((type) => type.startsWith('reload'))]).toEqual([0, ['reload 1', 'reload 2']])
  })

  test('while the process stops does not disturb the stop', async () => {
    const service = start({ RELOADS: 'true' })
    const { port } = await service.hears('listening')
    const slow = fetch(url(port, '/slow'))
    await service.hears('slow request begun')
    service.child.kill('SIGTERM')
    service.child.kill('SIGHUP')
    expect((await slow).status).toBe(200)
    expect(await service.closed).toMatchObject({ code: 0, signal: null })
  })

  test('before the process knows that it has nothing to reload ends it then', async () => {
    const service = start({ HOLD_BUILD: 'true' })
    await service.hears('building')
    await hangUp(service)
    service.child.send('go on')
    expect(await service.closed).toMatchObject({ code: null, signal: 'SIGHUP' })
  })

  test('ends a process that has nothing to reload, as by default', async () => {
    const service = start()
    await service.hears('listening')
    service.child.kill('SIGHUP')
    expect(await service.closed).toMatchObject({ code: null, signal: 'SIGHUP' })
  })
})

describe('stopping', () => {
  test('SIGTERM lets the running request finish, then the loops, then the connections, then exits 0', async () => {
    const service = start()
    const [{ port }] = await Promise.all([service.hears('listening'), service.hears('loop restarted')])
    const answer = fetch(url(port, '/slow'))
    await service.hears('slow request begun')
    service.child.kill('SIGTERM')
    const response = await answer
    expect([response.status, await response.text()]).toEqual([200, 'slow but complete'])
    expect(response.headers.get('connection')).toBe('close')
    const { code, told, lines } = await service.closed
    expect(code).toBe(0)
    expect(told.slice(-2)).toEqual(['loop ended', 'connections closed'])
    expect(lines.map(({ msg }) => msg)).toContain('stopped')
  })

  test('while it stops it is live, unready, and takes no new connections', async () => {
    const service = start()
    const { port, internalPort } = await service.hears('listening')
    expect((await fetch(url(internalPort, '/health/ready'))).status).toBe(200)
    fetch(url(port, '/never')).catch(() => {})
    await service.hears('endless request begun')
    service.child.kill('SIGTERM')
    await expect.poll(async () => (await fetch(url(internalPort, '/health/ready'))).status).toBe(503)
    expect((await fetch(url(internalPort, '/health/live'))).status).toBe(200)
    await expect.poll(() => fetch(url(port, '/health/live')).catch((error) => error.cause.code)).toBe('ECONNREFUSED')
  })

  test('a request that never ends is cut off in time for an orderly end', async () => {
    const service = start({ SHUTDOWN_TIMEOUT_MS: '500' })
    const { port } = await service.hears('listening')
    const answer = fetch(url(port, '/never')).catch((error) => error.message)
    await service.hears('endless request begun')
    service.child.kill('SIGTERM')
    expect(await answer).toBe('fetch failed')
    expect(await service.closed).toMatchObject({ code: 0 })
  })

  test('a second signal ends it at once', async () => {
    const service = start({ SHUTDOWN_TIMEOUT_MS: '60000' })
    const { port } = await service.hears('listening')
    fetch(url(port, '/never')).catch(() => {})
    await service.hears('endless request begun')
    service.child.kill('SIGTERM')
    await new Promise((resolve) =>
      service.child.stdout?.on('data', (chunk) => `${chunk}`.includes('stopping') && resolve(0)),
    )
    service.child.kill('SIGINT')
    expect(await service.closed).toMatchObject({ code: 1 })
  })

  test('it does not outlive the parent whose channel closes', async () => {
    const service = start()
    await service.hears('listening')
    service.child.disconnect()
    const { code, lines } = await service.closed
    expect(code).toBe(0)
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'stopping', reason: 'parent exited' }))
  })

  test('it does not outlive a parent that is killed', async () => {
    const script = `const { fork } = require('node:child_process')
      const child = fork(${JSON.stringify(fixture)}, { stdio: 'inherit', execArgv: [] , env: { ...process.env, API_SECRET: 'long enough' } })
      child.on('message', ({ type }) => type === 'listening' && process.stderr.write(String(child.pid)))`
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    const [pid] = await once(parent.stderr as Readable, 'data')
    parent.kill('SIGKILL')
    await expect.poll(() => isAlive(Number(pid)), { timeout: 5_000 }).toBe(false)
  })

  test('a failure to close is logged and ends it with 1', async () => {
    const service = start({ FAIL_TO_CLOSE: 'true' })
    await service.hears('listening')
    service.child.kill('SIGTERM')
    const { code, out } = await service.closed
    expect(code).toBe(1)
    expect(out).toContain('would not close')
  })
})

/** Sixteen callers, who call for as long as the registry names the instance, and a SIGTERM after two hundred answers. */
async function stopUnderLoad({ drainMs, pollMs }: { drainMs: number; pollMs: number }) {
  const namespace = redis.namespace()
  const onlooker = connectRedis(redis.url, { name: 'callers' })
  onTestFinished(() => closeRedis(onlooker))
  const registry = createRegistry(onlooker, { keys: discoveryKeys(namespace) })
  const service = start({ REGISTRY_URL: redis.url, REGISTRY_NAMESPACE: namespace, DRAIN_MS: `${drainMs}` })
  const { port } = await service.hears('listening')
  let listed = true
  let answered = 0
  const failures: unknown[] = []
  const follow = async () => {
    while (listed) {
      await new Promise((resolve) => setTimeout(resolve, pollMs))
      listed = (await registry.list('fixture')).instances.length > 0
    }
  }
  const call = async () => {
    while (listed) {
      const response = await fetch(url(port, '/with-schema')).catch((error) => error)
      if (response instanceof Response && response.ok && (await response.text()) === 'fine') answered += 1
      else failures.push(response)
      if (answered === 200) service.child.kill('SIGTERM')
    }
  }
  await Promise.all([follow(), ...Array.from({ length: 16 }, call)])
  return { answered, failures, code: (await service.closed).code }
}

test('callers that follow the registry lose no request when an instance stops under load', async () => {
  const { answered, failures, code } = await stopUnderLoad({ drainMs: 600, pollMs: 20 })
  expect(answered).toBeGreaterThan(200)
  expect(failures).toEqual([])
  expect(code).toBe(0)
})

test('they would, were it not for the wait between leaving the registry and closing the door', async () => {
  const { failures } = await stopUnderLoad({ drainMs: 0, pollMs: 300 })
  expect(failures.length).toBeGreaterThan(0)
})

describe('starting', () => {
  test('each mistake in the configuration is one line, without secrets, and it exits 2', async () => {
    const service = start({ PORT: '70000', LOG_LEVEL: 'loud', API_SECRET: 'short', SHUTDOWN_TIMEOUT_MS: 'soon' })
    const { code, err, out } = await service.closed
    expect(code).toBe(2)
    expect(err.trim().split('\n')).toEqual([
      'fixture cannot start: PORT is "70000": set it to a whole number from 0 to 65535 (Port of the HTTP API; 0 lets the system choose).',
      'fixture cannot start: LOG_LEVEL is "loud": set it to one of fatal, error, warn, info, debug, trace, silent (Lowest level that is logged).',
      expect.stringMatching(/^fixture cannot start: SHUTDOWN_TIMEOUT_MS is "soon": set it to a whole number from /),
      'fixture cannot start: API_SECRET has 5 characters: set it to a secret of at least 8 characters (Nobody may see it).',
    ])
    expect(err + out).not.toContain('short')
    expect(out).toBe('')
  })

  test('a failure to build is one sentence without secrets, and it exits 1', async () => {
    const { code, err, out } = await start({ FAIL_TO_BUILD: 'true' }).closed
    expect(code).toBe(1)
    expect(err).toBe('fixture cannot start: no database at postgres://***@db/app\n')
    expect(out).not.toContain('hunter2')
  })

  test('a port that is taken is said in one sentence', async () => {
    const other = createTcpServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const { code, err, out } = await start({ PORT: `${port}` }).closed
    other.close()
    expect(code).toBe(1)
    expect(err).toBe(
      `fixture cannot start: port ${port} of 127.0.0.1 is in use by another process: stop it, or set PORT or INTERNAL_PORT to another port.\n`,
    )
    expect(out).toBe('')
  })

  test.each([
    ['192.0.2.1', 'HOST is 192.0.2.1, which is not an address of this machine: set it to one that is.'],
    ['no.such.invalid', 'HOST is no.such.invalid, which cannot be resolved: set it to an address of this machine.'],
  ])('HOST %s is said in one sentence', async (host, sentence) => {
    expect(await start({ HOST: host }).closed).toMatchObject({
      code: 1,
      err: `fixture cannot start: ${sentence}\n`,
      out: '',
    })
  })

  test('metrics and health are on the internal port, and metrics nowhere else', async () => {
    const service = start({ INSTANCE_ID: 'fixture-one' })
    const { port, internalPort, instanceId } = await service.hears('listening')
    expect(instanceId).toBe('fixture-one')
    await fetch(url(port, '/health/live'))
    const metrics = await (await fetch(url(internalPort, '/metrics'))).text()
    expect(metrics).toContain('nodejs_eventloop_lag_seconds')
    expect(metrics).toContain(
      'http_request_duration_seconds_count{method="GET",route="/health/live",status="200",service="fixture",instance="fixture-one"} 1',
    )
    expect((await fetch(url(port, '/metrics'))).status).toBe(404)
    expect((await fetch(url(internalPort, '/slow'))).status).toBe(404)
  })

  test('a loop that fails is logged and started again', async () => {
    const service = start()
    await service.hears('loop restarted')
    service.child.kill('SIGTERM')
    const { lines } = await service.closed
    expect(lines).toContainEqual(expect.objectContaining({ level: 'error', loop: 'ticker', msg: 'loop failed' }))
  })
})

describe('a bug that nobody catches ends the process with 1 and a fatal line', () => {
  test.each([
    ['/throw', 'uncaught exception', 'nobody catches this'],
    ['/reject', 'unhandled rejection', 'nobody handles this'],
  ])('%s', async (path, msg, message) => {
    const service = start()
    const { port } = await service.hears('listening')
    fetch(url(port, path)).catch(() => {})
    const { code, lines } = await service.closed
    expect(code).toBe(1)
    // A line that was on its way when the rest was flushed may come after it.
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'fatal', msg, err: expect.objectContaining({ message }) }),
    )
  })
})

test('a schema that cannot be compiled ends the process, though nobody has called its route', async () => {
  const { code, lines } = await start({ BREAK_SCHEMA: 'true' }).closed
  expect(code).toBe(1)
  const message = expect.stringContaining('schema is invalid')
  expect(lines).toContainEqual(expect.objectContaining({ level: 'fatal', err: expect.objectContaining({ message }) }))
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
