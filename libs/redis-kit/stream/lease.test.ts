/**
 * The reader of a partition and its beat, in random interleavings with the loss of the lease: requests and answers of one connection
 * keep their order, and everything else may come at any moment.
 */
import { createRandom, oneOf } from '@shop/test-kit/random'
import { describe, expect, test } from 'vitest'
import { createAlarm } from '../flow/alarm.ts'
import { createComparedLease } from './compared-lease.fixture.ts'
import { createLease, type LeaseOptions } from './lease.ts'

const seed = Number(process.env.SHOP_SEED ?? Math.floor(Math.random() * 1_000_000))
const roundCount = 2000

type Make = (options: LeaseOptions) => ReturnType<typeof createLease>

/** One round. Resolves with whether the reader fetches again within three beats after the last loss. */
async function goesOn(make: Make, random: () => number): Promise<boolean> {
  const stopping = new AbortController()
  const alarm = createAlarm()
  stopping.signal.addEventListener('abort', alarm.ring, { once: true })
  const server = { isHeld: false }
  const requests: (() => void)[] = []
  const answers: (() => void)[] = []
  const ask = <Reply>(execute: () => Reply) =>
    new Promise<Reply>((resolve) => {
      requests.push(() => {
        const reply = execute()
        answers.push(() => resolve(reply))
      })
    })
  const lease = make({
    ttlMs: 1,
    alarm,
    take: (ttlMs) =>
      ask(() => {
        server.isHeld = ttlMs > 0
        return server.isHeld ? 1 : 0
      }),
  })
  lease.isWanted = true
  let fetchedCount = 0
  let isBeating = false

  async function read() {
    while (await lease.untilOurs(stopping.signal)) {
      if (await ask(() => server.isHeld)) fetchedCount += 1
      else lease.refused()
    }
  }
  async function beat() {
    if (isBeating) return
    isBeating = true
    await lease.renew()
    isBeating = false
  }
  const steps = {
    beat: () => void beat(),
    execute: () => requests.shift()?.(),
    answer: () => answers.shift()?.(),
    lose: () => {
      server.isHeld = false
    },
    unwant: () => {
      lease.isWanted = !lease.isWanted
    },
  }
  const names = ['beat', 'execute', 'execute', 'execute', 'answer', 'answer', 'answer', 'lose', 'unwant'] as const
  const settled = () => new Promise(setImmediate)

  const reading = read()
  for (let step = 0; step < 60; step++) {
    steps[oneOf(random, names)]()
    if (random() < 0.7) await settled()
  }
  lease.isWanted = true
  const before = fetchedCount
  for (let round = 0; round < 3; round++) {
    steps.beat()
    for (let step = 0; step < 8; step++) {
      steps.execute()
      steps.answer()
      await settled()
    }
  }
  stopping.abort()
  for (let step = 0; step < 8; step++) {
    steps.execute()
    steps.answer()
    await settled()
  }
  await reading
  return fetchedCount > before + 1 // one may have been under way
}

async function stallsOf(make: Make): Promise<number> {
  const random = createRandom(seed)
  let stallCount = 0
  for (let round = 0; round < roundCount; round++) if (!(await goesOn(make, random))) stallCount += 1
  return stallCount
}

describe(`a lease that is lost with a fetch and a beat in flight, seed ${seed}`, () => {
  test('the reader goes on within three beats, in every interleaving', async () => {
    expect(await stallsOf(createLease)).toBe(0)
  })

  test('negative control: to wake it only when the answer differs from before leaves it asleep', async () => {
    expect(await stallsOf(createComparedLease)).toBeGreaterThan(0)
  })
})
