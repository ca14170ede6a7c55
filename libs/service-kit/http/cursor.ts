/**
 * Cursors for keyset paging: where the last page ended, as one opaque, URL-safe word. What comes back is checked like any other input:
 * a cursor that was damaged, cut or made up is 400 `cursor-invalid`, never a wrong query.
 */
import type { Static, TSchema } from 'typebox'
import { defineErrors } from './errors.ts'
import { createCheck } from './validation.ts'

export const cursorErrors = defineErrors({
  cursorInvalid: [
    'invalid',
    'cursor-invalid',
    'The cursor does not come from this list',
    { fields: [{ path: 'cursor', message: 'is not a cursor of this list', code: 'cursor' }] },
  ],
})

/** `schema` is what is inside, for example `Type.Tuple([Type.Integer(), Sku])`: the sort value and the unique tie-breaker. */
export function createCursor<Schema extends TSchema>(schema: Schema) {
  const mistakesIn = createCheck(schema)
  return { encode, decode }

  function encode(position: Static<Schema>): string {
    return Buffer.from(JSON.stringify(position)).toString('base64url')
  }

  function decode(cursor: string): Static<Schema> {
    let position: unknown
    try {
      position = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    } catch {
      throw cursorErrors.cursorInvalid()
    }
    if (mistakesIn(position).length > 0) throw cursorErrors.cursorInvalid()
    return position as Static<Schema>
  }
}
