/** The example for development fits docker-compose.yml. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames } from '@shop/contracts/services'
import { expect, it, onTestFinished } from 'vitest'
import { docker } from './docker.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const shipped = join(root, 'docker-compose.yml')
const example = join(root, 'infra', 'docker-compose.override.example.yml')

interface Config {
  services: Record<string, { volumes?: { type: string; source: string; target: string }[]; ports?: unknown[] }>
}

it('is accepted by Compose, mounts sources that exist, and publishes nothing more', async () => {
  await config('-f', shipped, '-f', example, 'config', '-q')
  const merged: Config = JSON.parse(await config('-f', shipped, '-f', example, 'config', '--format', 'json'))
  for (const service of serviceNames) {
    const mounts = merged.services[service]?.volumes?.filter(({ type }) => type === 'bind') ?? []
    expect(mounts.map(({ target }) => target).sort()).toEqual([`/shop/apps/${service}`, '/shop/libs'])
    for (const { source } of mounts) expect(existsSync(source)).toBe(true)
  }
  const published = Object.entries(merged.services).filter(([, { ports }]) => ports?.length)
  expect(published.map(([name]) => name)).toEqual(['gateway'])
})

it('would not be accepted with a mistake in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shop-override-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const mistaken = join(folder, 'override.yml')
  writeFileSync(mistaken, 'services:\n  catalogue:\n    environment: { LOG_LEVEL: debug }\n')
  await expect(config('-f', shipped, '-f', mistaken, 'config', '-q')).rejects.toThrow(/catalogue/)
})

function config(...args: string[]): Promise<string> {
  return docker('compose', '--project-directory', root, ...args)
}
