/**
 * The host that a request is for. Two parts of a chain that read it differently can be played against each other, so a request
 * names it once and in a form that has one reading (RFC 9112, 3.2).
 */
import type { IncomingMessage } from 'node:http'
import { defineErrors } from './errors.ts'

const errors = defineErrors({
  hostMissing: ['invalid', 'host-missing', 'Send a Host header: HTTP/1.1 requires it'],
  hostRepeated: ['invalid', 'host-repeated', 'Send the Host header once'],
  hostInvalid: ['invalid', 'host-invalid', 'The Host header must be a name or an address, with or without a port'],
})

/** RFC 3986, 3.2.2 and 3.2.3: an address in brackets or a name, and a port. */
const hostAndPort = /^(?:\[[\da-f.:]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})*)(?::\d{0,5})?$/i

/** Why the host of the request is refused, if it is. */
export function refusalOfHost({ headers, rawHeaders, httpVersion, url = '' }: IncomingMessage) {
  if (headers.host === undefined) return httpVersion === '1.1' ? errors.hostMissing() : undefined
  const count = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host').length
  if (count > 1) return errors.hostRepeated()
  return [headers.host, hostOfTarget(url) ?? ''].every((host) => hostAndPort.test(host))
    ? undefined
    : errors.hostInvalid()
}

/** Of a request that names the whole URL: its host and port, which count instead of the header's (RFC 9112, 3.2.2). */
export function hostOfTarget(target: string): string | undefined {
  return /^https?:\/\/([^/?#]*)/i.exec(target)?.[1]
}
