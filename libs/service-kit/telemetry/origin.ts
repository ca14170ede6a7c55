/**
 * From which request something came: the id under which it is in every log, and the trace context (W3C) that it came with. It goes into
 * each event that the request causes, beside the event's id; whoever hears the event takes it from there, for its log lines and for the
 * events that it causes in turn. So one id finds all that came of a request, in every service and long after its answer.
 *
 * Nothing else travels so: neither who asked nor with what right. Both values have a form that leaves no room for more.
 */
import type { FastifyRequest } from 'fastify'

export interface Origin {
  requestId?: string
  traceparent?: string
}

const requestIdForm = /^[\w-]{8,64}$/
/** Version, trace, parent, flags: https://www.w3.org/TR/trace-context/#traceparent-header. Version ff and all zeros are invalid. */
const traceparentForm = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/** Of the request that is being answered. */
export function originOf({ id, headers }: Pick<FastifyRequest, 'id' | 'headers'>): Origin {
  return originIn({ requestId: id, traceparent: headers.traceparent })
}

/** What an event says of it. A value that has not its form is left out: no event fails by where it came from. */
export function originIn({ requestId, traceparent }: { requestId?: unknown; traceparent?: unknown }): Origin {
  return {
    ...(isRequestId(requestId) && { requestId }),
    ...(isOfForm(traceparent, traceparentForm) && { traceparent }),
  }
}

export function isRequestId(value: unknown): value is string {
  return isOfForm(value, requestIdForm)
}

function isOfForm(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value)
}
