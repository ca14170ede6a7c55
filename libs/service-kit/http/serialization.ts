/** How answers are written: by code generated from the response's schema, which leaves out every field that the schema does not name. */
import { createRequire } from 'node:module'
import type { FastifySerializerCompiler } from 'fastify'
import type { Deferrals } from '../deferral.ts'

/** For Fastify. Schemas are compiled later: see deferral.ts. */
export function createSerializerCompiler({ defer }: Deferrals): FastifySerializerCompiler<unknown> {
  const compiler = defer(() => {
    const require = createRequire(import.meta.url)
    const select =
      require('@fastify/fast-json-stringify-compiler') as typeof import('@fastify/fast-json-stringify-compiler')
    return select.SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>
  })
  return (route) => {
    const serialize = defer(() => compiler()(route))
    return (data) => serialize()(data)
  }
}
