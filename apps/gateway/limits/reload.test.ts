/** The file of limits and the real process: refused at the start, read again at SIGHUP. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, onTestFinished, vi } from 'vitest'
import { startGatewayProcess } from '../gateway.fixture.ts'
import { policyFile, policyText } from './policies.fixture.ts'

const path = policyFile({ address: { limit: '100 per 1s', burst: 100 } })
const gateway = await startGatewayProcess({ RATE_LIMIT_FILE: path })
afterAll(gateway.stop)

/** The quota of the address that an answer announces. */
async function quota({ url }: { url: string } = gateway) {
  const response = await fetch(`${url}/api/products`)
  await response.arrayBuffer()
  return [response.status, /"address";q=(\d+)/.exec(response.headers.get('ratelimit-policy') ?? '')?.[1]]
}

it('SIGHUP puts a changed file in force, without a restart', async () => {
  expect(await quota()).toEqual([200, '100'])
  writeFileSync(path, policyText({ address: { limit: '90 per 1s', burst: 100 } }))
  process.kill(gateway.pid, 'SIGHUP')
  await vi.waitFor(async () => expect(await quota()).toEqual([200, '90']), { timeout: 10_000 })
  expect(gateway.log()).toContain('rate limits read again')
})

it('SIGHUP follows a link that was swapped, as a config map of Kubernetes does; a link to nothing changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-map-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const linked = join(folder, 'limits.yaml')
  const data = join(folder, '..data')
  const pointTo = (target: string) => {
    symlinkSync(target, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), data)
  }
  for (const count of [70, 60]) {
    mkdirSync(join(folder, `..v${count}`))
    writeFileSync(
      join(folder, `..v${count}`, 'limits.yaml'),
      policyText({ address: { limit: `${count} per 1s`, burst: 100 } }),
    )
  }
  pointTo('..v70')
  symlinkSync(join('..data', 'limits.yaml'), linked)
  const other = await gateway.addGateway({ RATE_LIMIT_FILE: linked })
  expect(await quota(other)).toEqual([200, '70'])
  pointTo('..nothing')
  process.kill(other.pid, 'SIGHUP')
  await vi.waitFor(() => expect(other.log()).toContain('cannot be read: ENOENT'), { timeout: 10_000 })
  expect(await quota(other)).toEqual([200, '70'])
  pointTo('..v60')
  process.kill(other.pid, 'SIGHUP')
  await vi.waitFor(async () => expect(await quota(other)).toEqual([200, '60']), { timeout: 10_000 })
})

it('SIGHUP with a broken file changes nothing, and the log names the file and each line', async () => {
  const before = await quota()
  writeFileSync(path, policyText({ address: { limit: '0 per 1s' }, user: { algorithm: 'leaky' } }))
  process.kill(gateway.pid, 'SIGHUP')
  await vi.waitFor(() => expect(gateway.log()).toContain('rate limits refused'), { timeout: 10_000 })
  const line =
    gateway
      .log()
      .split('\n')
      .find((one) => one.includes('rate limits refused')) ?? ''
  const { problems } = JSON.parse(line.slice(line.indexOf('{'))) as { problems: string[] }
  expect(problems).toEqual([
    expect.stringMatching(
      /policies-\d+\.yaml:\d+: the count of the limit must be a whole number of at least 1, not 0$/,
    ),
    expect.stringMatching(/policies-\d+\.yaml:\d+: algorithm must be one of gcra, .*, not "leaky"$/),
  ])
  expect(await quota()).toEqual(before)
})

it('a broken file refuses the start, one line per mistake', async () => {
  const broken = policyFile({ address: { limit: '0 per 1s' }, user: { role: 'disk' } })
  const message = await gateway.addGateway({ RATE_LIMIT_FILE: broken }).then(
    () => 'started',
    (error) => String(error),
  )
  expect(message).toMatch(/gateway cannot start: .*policies-\d+\.yaml:\d+: the count of the limit must be/)
  expect(message).toMatch(
    /gateway cannot start: .*policies-\d+\.yaml:\d+: role must be one of cache, state, not "disk"/,
  )
})
