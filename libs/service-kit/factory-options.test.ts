/** Each factory refuses numbers that make no sense when the thing is made, and names the option. Nothing here connects. */
import { describe, expect, test } from 'vitest'
import { createServiceClient } from './call/client.ts'
import { createEventStreams } from './http/event-stream.ts'
import { createRelay } from './outbox/outbox.ts'
import { createTopicRelay } from './outbox/topic-relay.ts'

const none = {} as never
const streams = { stopping: new AbortController().signal }

type Make = (options: object) => unknown
const factories: [name: string, make: Make, options: { timer?: string[]; other?: string[] }][] = [
  [
    'createEventStreams',
    (o) => createEventStreams({ ...streams, ...o }),
    { timer: ['heartbeatMs', 'maxMs'], other: ['maxCount', 'maxCountPerCaller', 'maxBufferedBytes'] },
  ],
  [
    'createRelay',
    (o) => createRelay({ pool: none, publish: none, ...o } as never),
    { timer: ['batchMs', 'pollMs', 'cleanEveryMs', 'retryBaseMs', 'retryCapMs'], other: ['batchCount', 'retainMs'] },
  ],
  [
    'createTopicRelay',
    (o) => createTopicRelay(none, { pool: none, keys: [], ...o }),
    { timer: ['auditEveryMs'], other: ['resendAfterMs'] },
  ],
  [
    'createServiceClient',
    (o) => createServiceClient({ directory: none, ...o } as never),
    {
      other: [
        'attempts',
        'attemptRatio',
        'maxBodyBytes',
        'maxInFlightCount',
        'streamConnectionCount',
        'retryRatio',
        'retryBurstCount',
      ],
    },
  ],
]

describe.each(factories)('%s', (_, make, { timer = [], other = [] }) => {
  test.each([...timer, ...other])('refuses %s that is no number, endless, negative or a text', (option) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, '60']) {
      expect(() => make({ [option]: value }), String(value)).toThrow(RangeError)
      expect(() => make({ [option]: value }), String(value)).toThrow(option)
    }
    if (timer.includes(option)) expect(() => make({ [option]: 2 ** 31 })).toThrow(option)
  })
})
