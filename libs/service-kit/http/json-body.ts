/** JSON as the only body of a server, unless the plugin of a route adds another. */
import { isUtf8 } from 'node:buffer'
import type { FastifyInstance } from 'fastify'
import { defineErrors } from './errors.ts'

const errors = defineErrors({
  bodyNotUtf8: ['invalid', 'body-not-utf8', 'The body is not valid UTF-8'],
  charsetUnsupported: ['unsupported-media-type', 'charset-unsupported', 'JSON must be encoded in UTF-8'],
  nulCharacter: ['invalid', 'nul-character', 'Text must not contain the character U+0000'],
  loneSurrogate: ['invalid', 'lone-surrogate', 'Text must not contain an unpaired surrogate'],
})

/** Poisoned prototypes, wrong encodings, U+0000 (which Postgres cannot store) and lone surrogates (which UTF-8 cannot say) are refused. */
export function readJsonOnly(server: FastifyInstance) {
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (!isUtf8Declared(request.headers['content-type'])) return done(errors.charsetUnsupported())
    if (!isUtf8(body as Buffer)) return done(errors.bodyNotUtf8())
    const text = body.toString('utf8')
    const refusal = refusalOfEscapes(text)
    if (refusal !== undefined) return done(refusal)
    parse(request, text, done)
  })
}

/** JSON has no charset parameter (RFC 8259, 11). One that says UTF-8, or ASCII, which is a part of it, is true. */
function isUtf8Declared(contentType = ''): boolean {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType)?.[1]
  return charset === undefined || /^(?:utf-?8|us-ascii)$/i.test(charset)
}

/** Escapes that may stand in JSON and look like the refused ones: a backslash, and both halves of a pair. */
const harmlessEscapes = /\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}/gi

/** Outside of its strings JSON has no backslashes. */
function refusalOfEscapes(text: string) {
  if (!text.includes('\\u')) return undefined
  const rest = text.replaceAll(harmlessEscapes, ' ')
  if (rest.includes('\\u0000')) return errors.nulCharacter()
  return /\\ud[89a-f]/i.test(rest) ? errors.loneSurrogate() : undefined
}

/** @param target of the request: its path and its query, percent-encoded. In UTF-8 the byte ED before A0 to BF is a surrogate. */
export function refusalOfTarget(target: string) {
  if (target.includes('%00')) return errors.nulCharacter()
  return /%ed%[ab]/i.test(target) ? errors.loneSurrogate() : undefined
}
