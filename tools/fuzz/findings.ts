/** What is wrong with an answer. */
import type { Json } from '@shop/service-kit/http/openapi'
import { createCheck } from '@shop/service-kit/http/validation'
import type { Answer } from './exchange.ts'
import type { Operation } from './operations.ts'
import type { FuzzRequest } from './requests.ts'

/** A path in a file, with its line: of a stack, and nothing that an answer says. */
const stack = /\n\s+at |node_modules|file:\/\/\/|\.ts:\d+/

/** Of what the parser refuses before it knows the route. */
const ofConnection = new Set([400, 408, 413, 414, 417, 431])

export function createJudge() {
  const checks = new Map<Json, ReturnType<typeof createCheck>>()
  return { problemsOf }

  /** One sentence each; none when all is well. */
  function problemsOf(request: FuzzRequest, answer: Answer): string[] {
    const { status, body } = answer
    if (status === -1) return ['no answer in time']
    if (status === 0) return request.isMalformed ? [] : ['the connection ended without an answer']
    return [
      ...(status >= 500 ? [`status ${status}`] : []),
      ...(stack.test(body) ? ['the answer contains a stack trace'] : []),
      ...(status >= 400 && request.method !== 'HEAD' ? problemsOfRefusal(answer) : []),
      ...(isUndisturbed(request) ? problemsWithDescription(request.operation, answer) : []),
    ]
  }

  function problemsWithDescription({ answers }: Operation, { status, body }: Answer): string[] {
    if (!answers.has(status)) return ofConnection.has(status) ? [] : [`status ${status} is undocumented`]
    const schema = answers.get(status)
    if (status >= 300 || schema === undefined) return []
    let check = checks.get(schema)
    if (!check) {
      check = createCheck(schema as never)
      checks.set(schema, check)
    }
    return check(JSON.parse(body)).map(({ path, message }) => `${path} of the answer ${message}`)
  }
}

function problemsOfRefusal({ status, headers, body }: Answer): string[] {
  if (!headers['content-type']?.startsWith('application/problem+json')) return ['the refusal is not problem+json']
  try {
    const problem = JSON.parse(body)
    return typeof problem.code === 'string' && problem.status === status
      ? []
      : ['the problem has no code, or its status differs']
  } catch {
    return ['the problem is not JSON']
  }
}

/** Method and path are those of the operation, so its description must fit. */
function isUndisturbed(request: FuzzRequest): request is FuzzRequest & { operation: Operation } {
  const { operation, method, target, isMalformed } = request
  if (!operation || isMalformed || method !== operation.method) return false
  const pattern = operation.path.replaceAll(/\{\w+\}/g, '[A-Za-z0-9._~:-]+')
  return new RegExp(`^${pattern}$`).test(target.split('?', 1)[0] as string)
}
