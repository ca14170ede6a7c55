/** The walk over a server whose port is not published: redis-cli runs in its container, as the user `viewer`. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { describeWalk, judge, type SeenKey } from './walk.ts'

const timeoutMs = 60_000
const maxKeyCount = 100_000

/** Resolves to one line of figures, and one line per problem. Rejects when redis-cli fails. */
export async function walkContainer(project: string, role: KeyRole): Promise<{ line: string; problems: string[] }> {
  const server = `redis-${role}`
  const run = (input: string, ...options: string[]) => redisCli({ project, server, role, input, options })
  // Neither a line break nor a quote is in a declared key; another key with one is reported under a part of its name.
  const found = lines(await run('', '--scan', '--count', '500')).slice(0, maxKeyCount + 1)
  const keys = [...new Set(found)]
  const answers = lines(
    await run(keys.map((key) => `TYPE ${JSON.stringify(key)}\nPTTL ${JSON.stringify(key)}\n`).join('')),
  )
  const seen = keys.map((key, i): SeenKey => ({ key, type: answers[2 * i] ?? '', pttlMs: Number(answers[2 * i + 1]) }))
  const walk = await judge(seen, { role, families: await readKeyFamilies(), limit: maxKeyCount })
  const problems = describeWalk(server, walk)
  return { line: `${server}: ${walk.keyCount} keys walked, ${problems.length} problems`, problems }
}

interface Call {
  project: string
  server: string
  role: KeyRole
  input: string
  options: readonly string[]
}

async function redisCli({ project, server, role, input, options }: Call): Promise<string> {
  const script = `. /run/shop/look.env; redis-cli -e --no-auth-warning -u $${role.toUpperCase()} "$@"`
  const child = spawn('docker', ['exec', '-i', `${project}-${server}-1`, 'sh', '-c', script, 'sh', ...options], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: timeoutMs,
  })
  child.stdin.on('error', () => {}) // the exit code says it
  child.stdin.end(input)
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
  const output = await text(child.stdout)
  const code = await exit
  if (code !== 0) throw new Error(`redis-cli in ${project}-${server}-1 ended with ${code}: ${output.slice(0, 500)}`)
  return output
}

function lines(output: string): string[] {
  return output.split('\n').filter((line) => line !== '')
}
