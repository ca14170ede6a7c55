/** Refusals that are as cheap as Node can make them, because they come in floods: the body is made once, and the answer is one write. */
import type { ServerResponse } from 'node:http'
import type { ShopError } from '@shop/service-kit/http/errors'
import { problemOf } from '@shop/service-kit/http/problem'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'

/** Answers with the error. Headers differ from one refused request to the next. */
export type Refusal = (response: ServerResponse, headers: Record<string, string>) => void

export function createRefusal(error: ShopError, metrics: Pick<Metrics, 'countProblem'>): Refusal {
  const { status, headers: own, body } = problemOf(error)
  const text = JSON.stringify(body)
  const length = String(Buffer.byteLength(text))
  const always = [...Object.entries(own).flat(), 'content-type', 'application/problem+json', 'content-length', length]
  return function refuse(response, headers) {
    const head = [...always]
    for (const name in headers) head.push(name, headers[name] as string)
    metrics.countProblem(status, body.code)
    response.writeHead(status, head)
    response.end(text)
  }
}
