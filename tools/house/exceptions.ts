/** What the rules of structure.ts let pass, and why. A line that is no longer needed fails the test. */
import type { Exceptions } from './structure.ts'

export const exceptions: Exceptions = {
  rings: {
    'libs/redis-kit/cache/reader.ts': 'The cache is to become one read in stages, without the ring.',
    'libs/redis-kit/stream/stream.ts': 'The stream is to become two folders and a file of types, without the ring.',
  },
  folders: {
    'libs/contracts': 'One file per subject; /docs takes the names of schemas from this one folder.',
    tools: 'One file per npm command: a script of package.json names it, and bootstrap.mjs starts it.',
    'libs/redis-kit/cache': 'The cache is to become one read in stages, in about 15 files.',
    'libs/redis-kit/stream': 'The stream is to become two folders: publishing and reading, and what an operator needs.',
  },
  unreached: {
    'libs/test-kit/': 'The test kit: tests are its users.',
    'libs/redis-kit/cache/messagepack.ts': 'An option of the cache that no app takes.',
    'libs/redis-kit/session/encryption.ts': 'An option of sessions that no app takes.',
    'tools/house/boundaries.ts':
      'The rules of a test, in a file of their own so that planted faults can be passed to them.',
  },
}
