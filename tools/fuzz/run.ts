/** The run: so many requests, some at once, and what was found. */
import type { OpenApi } from '@shop/service-kit/http/openapi'
import * as fc from 'fast-check'
import { bytesOf, exchange } from './exchange.ts'
import { createJudge } from './findings.ts'
import { operationsOf } from './operations.ts'
import { type FuzzRequest, requestsOf } from './requests.ts'
import { createVisitors, findKnown, type Shop } from './shop.ts'

export interface RunOptions {
  seed: number
  requestCount: number
  /** @default 8 */
  atOnce?: number
  onProgress?: (doneCount: number) => void
}

export interface Finding {
  request: FuzzRequest
  status: number
  problems: string[]
  /** The answer's body, cut short. */
  body: string
  /** A shell command that sends the request again. */
  command: string
}

export interface Result {
  findings: Finding[]
  /** Operation to status to count. */
  counts: Map<string, Map<number, number>>
}

export async function fuzz(
  shop: Shop,
  { seed, requestCount, atOnce = 8, onProgress = () => {} }: RunOptions,
): Promise<Result> {
  const url = new URL(shop.url)
  const description = (await (await fetch(`${shop.url}/docs/json`)).json()) as OpenApi
  const operations = operationsOf(description).filter(({ path }) => !path.startsWith('/health/'))
  const visitors = await createVisitors(shop)
  const known = await findKnown(shop, await visitors.cookieOf('customer'))
  const requests = fc.sample(requestsOf(operations, known), { seed, numRuns: requestCount })
  const judge = createJudge()
  const result: Result = { findings: [], counts: new Map() }
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, worker))
  return result

  async function worker() {
    while (next < requests.length) {
      const request = requests[next++] as FuzzRequest
      if (next % 500 === 0) onProgress(next)
      await one(request)
    }
  }

  async function one(request: FuzzRequest) {
    const bytes = bytesOf(request, url.host, await visitors.cookieOf(request.role))
    const answer = await exchange(url, bytes, request)
    count(nameOf(request), answer.status)
    const problems = judge.problemsOf(request, answer)
    if (problems.length > 0) {
      const command = commandOf(bytes, url)
      result.findings.push({ request, status: answer.status, problems, body: answer.body.slice(0, 500), command })
    }
    const hasEndedSessions = answer.status === 204 && request.target.startsWith('/api/sessions')
    if (hasEndedSessions) await visitors.signInAgain(request.role)
  }

  function count(name: string, status: number) {
    const ofName = result.counts.get(name) ?? new Map()
    result.counts.set(name, ofName.set(status, (ofName.get(status) ?? 0) + 1))
  }
}

/**
 * curl would correct what is wrong with the request, so its bytes are sent as they are: by curl's telnet, which sends its standard input.
 * Session cookies are left in, for the shop they open ends with the run or is one's own.
 */
function commandOf(bytes: Buffer, { hostname, port }: URL): string {
  return `echo ${bytes.subarray(0, 100_000).toString('base64')} | base64 -d | curl -s --max-time 5 telnet://${hostname}:${port || 80}`
}

/** Bytes that a server cannot parse belong to no operation. */
export function nameOf({ operation }: FuzzRequest): string {
  return operation?.name ?? 'malformed HTTP'
}

/** Operation x status class, and a line of sums. */
export function tableOf({ counts }: Result): string {
  const classes = ['2xx', '3xx', '4xx', '5xx', 'none']
  const classOf = (status: number) => (status <= 0 ? 'none' : `${Math.floor(status / 100)}xx`)
  const rows = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, statuses]) => {
      const sum = (wanted: string) =>
        [...statuses].reduce((total, [status, n]) => total + (classOf(status) === wanted ? n : 0), 0)
      return [name, ...classes.map((one) => sum(one))] as [string, ...number[]]
    })
  const sums = classes.map((_, index) => rows.reduce((total, row) => total + (row[index + 1] as number), 0))
  const line = ([name, ...figures]: readonly (string | number)[]) =>
    String(name).padEnd(60) + figures.map((figure) => String(figure).padStart(7)).join('')
  return [line(['operation', ...classes]), ...rows.map(line), line(['sum', ...sums])].join('\n')
}
