/**
 * Against cross-site request forgery: what changes something must come from our own pages. Browsers say where a request is
 * from, in Origin; programs without a browser say nothing, and have no cookie that somebody else could make them send.
 */
import { errors } from './errors.ts'

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

export function createOriginCheck(publicUrl: string) {
  const allowed = new URL(publicUrl).origin
  return function checkOrigin(method: string, origin: string | undefined): void {
    if (safeMethods.has(method) || origin === undefined || origin === allowed) return
    throw errors.originNotAllowed()
  }
}
