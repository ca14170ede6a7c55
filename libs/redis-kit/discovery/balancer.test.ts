import { createRandom } from '@shop/test-kit/random'
import { describe, expect, test } from 'vitest'
import { type BalancerOptions, createBalancer, type Pick } from './balancer.ts'
import type { Instance } from './discovery.ts'

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return { id, service: 'catalog', host: '10.0.0.1', port: 3000, startedAtMs: 1, ...more }
}

function instances(count: number) {
  return Array.from({ length: count }, (_, index) => instance(`i${index}`))
}

/** A balancer over a list that can be exchanged, on a clock that stands still until it is moved. */
function world(first: readonly Instance[], options: BalancerOptions = {}, seed = 1) {
  const state = { nowMs: 0, list: first }
  const balancer = createBalancer(
    { instances: () => state.list },
    { now: () => state.nowMs, random: createRandom(seed), slowStartMs: 0, ...options },
  )
  return Object.assign(state, balancer)
}

type World = ReturnType<typeof world>

function pickOf(shop: World, exclude?: ReadonlySet<string>): Pick {
  const pick = shop.pick(exclude)
  if (!pick) throw new Error('nobody was picked')
  return pick
}

/** A call to that instance, whatever the balancer thinks of it. */
function pickThat(shop: World, id: string): Pick {
  return pickOf(shop, new Set(shop.list.map((one) => one.id).filter((other) => other !== id)))
}

function fail(shop: World, id: string, times: number) {
  for (let failure = 0; failure < times; failure++) pickThat(shop, id).done('failed')
}

function share(shop: World, id: string, calls = 2_000) {
  let count = 0
  for (let call = 0; call < calls; call++) {
    const pick = pickOf(shop)
    if (pick.instance.id === id) count++
    pick.done('ok')
  }
  return count / calls
}

const isEjected = (shop: World, id: string) => shop.inspect().find((one) => one.id === id)?.isEjected

describe('round robin', () => {
  test('ten thousand calls are distributed to within one', () => {
    const shop = world(instances(7), { policy: 'round-robin' })
    const counts = new Map<string, number>()
    for (let call = 0; call < 10_000; call++) {
      const { id } = pickOf(shop).instance
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1)
  })

  test('a refreshed list does not begin with the first instance again', () => {
    const shop = world(instances(5), { policy: 'round-robin' })
    const counts = new Map<string, number>()
    for (let call = 0; call < 1_000; call++) {
      shop.list = [...shop.list]
      const { id } = pickOf(shop).instance
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    expect([...counts.values()]).toEqual([200, 200, 200, 200, 200])
  })
})

describe('power of two choices', () => {
  /** A day in the life of ten instances of which one is ten times slower; latencies of all calls. */
  function simulate(policy: 'p2c' | 'round-robin', seed: number) {
    const shop = world(instances(10), { policy }, seed)
    const random = createRandom(seed + 1_000)
    const ends: { atMs: number; pick: Pick }[] = []
    const latenciesMs: number[] = []
    for (let call = 0; call < 20_000; call++) {
      shop.nowMs += -Math.log(1 - random()) * 2 // 500 calls a second
      for (const end of ends.filter(({ atMs }) => atMs <= shop.nowMs)) {
        ends.splice(ends.indexOf(end), 1)
        const afterMs = shop.nowMs
        shop.nowMs = end.atMs
        end.pick.done('ok')
        shop.nowMs = afterMs
      }
      const pick = pickOf(shop)
      const tookMs = (pick.instance.id === 'i0' ? 100 : 10) * (0.8 + 0.4 * random())
      latenciesMs.push(tookMs)
      ends.push({ atMs: shop.nowMs + tookMs, pick })
    }
    latenciesMs.sort((a, b) => a - b)
    return latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? Number.NaN
  }

  test('with one instance ten times slower the p99 is at most half of that of round robin', () => {
    for (const seed of [1, 2, 3]) {
      expect(simulate('p2c', seed)).toBeLessThan(simulate('round-robin', seed) / 2)
    }
  })

  test('a busy instance is passed over', () => {
    const shop = world(instances(2))
    const held = Array.from({ length: 20 }, () => pickThat(shop, 'i0'))
    expect(share(shop, 'i1', 100)).toBe(1)
    for (const pick of held) pick.done('ok')
  })

  test('equal instances get equal shares, and twice the weight is worth twice the calls in flight', () => {
    const equal = world(instances(4))
    for (const { id } of equal.list) expect(share(equal, id, 8_000)).toBeCloseTo(0.25, 1)

    const weighted = world([instance('small'), instance('large', { weight: 2 })])
    for (let call = 0; call < 300; call++) pickOf(weighted)
    const [small, large] = weighted.inspect().map(({ inFlightCount }) => inFlightCount)
    expect((large ?? 0) / (small ?? 0)).toBeCloseTo(2, 1)
  })

  test('one slow answer counts at once; what was slow once is asked again later', () => {
    const shop = world(instances(2))
    for (const { id } of shop.list) pickThat(shop, id).done('ok')
    const slow = pickThat(shop, 'i0')
    shop.nowMs += 1_000
    slow.done('ok')
    const fast = pickThat(shop, 'i1')
    shop.nowMs += 10
    fast.done('ok')
    expect(share(shop, 'i0', 100)).toBe(0)
    let seconds = 0
    while (pickedId(shop) !== 'i0' && seconds < 3_600) {
      seconds++
      shop.nowMs += 1_000
      const pick = pickOf(shop)
      shop.nowMs += 10
      pick.done('ok')
    }
    expect(seconds).toBeGreaterThan(10)
    expect(seconds).toBeLessThan(120)
  })

  function pickedId(shop: World) {
    const pick = pickOf(shop)
    pick.done('cancelled')
    return pick.instance.id
  }
})

describe('calls in flight', () => {
  const inFlight = (shop: World) => shop.inspect().map(({ inFlightCount }) => inFlightCount)

  test('ending a call twice counts once', () => {
    const shop = world(instances(1))
    const [first, second] = [pickOf(shop), pickOf(shop)]
    first.done('ok')
    first.done('failed')
    first.done('cancelled')
    expect(inFlight(shop)).toEqual([1])
    second.done('ok')
    expect(inFlight(shop)).toEqual([0])
  })

  test('calls whose end is never told stop counting: a caller that forgets cannot freeze an instance out', () => {
    const shop = world(instances(2), { maxCallMs: 60_000 })
    for (let call = 0; call < 50; call++) pickThat(shop, 'i0') // never done
    expect(share(shop, 'i0', 100)).toBe(0)
    shop.nowMs += 60_001
    expect(share(shop, 'i0', 1_000)).toBeCloseTo(0.5, 1)
    expect(inFlight(shop)).toEqual([0, 0])
  })

  test('cancelled calls leave nothing behind and are no failure', () => {
    const shop = world(instances(2))
    for (let call = 0; call < 1_000; call++) pickOf(shop).done('cancelled')
    expect(inFlight(shop)).toEqual([0, 0])
    expect(shop.inspect().some((one) => one.isEjected)).toBe(false)
  })

  test('a long body counts as load, not as latency', () => {
    const shop = world(instances(1))
    const pick = pickOf(shop)
    shop.nowMs += 5
    pick.responded()
    expect(inFlight(shop)).toEqual([1])
    shop.nowMs += 60_000
    pick.done('ok')
    expect(shop.inspect()[0]?.latencyMs).toBe(5)
  })
})

describe('ejection', () => {
  test('the fifth failure in a row ejects, and a success in between starts over', () => {
    const shop = world(instances(4))
    fail(shop, 'i0', 4)
    pickThat(shop, 'i0').done('ok')
    fail(shop, 'i0', 4)
    expect(isEjected(shop, 'i0')).toBe(false)
    fail(shop, 'i0', 1)
    expect(isEjected(shop, 'i0')).toBe(true)
    expect(share(shop, 'i0')).toBe(0)
  })

  test('one refused connection is enough', () => {
    const shop = world(instances(4))
    pickThat(shop, 'i0').done('unreachable')
    expect(share(shop, 'i0')).toBe(0)
  })

  test('each ejection that follows the last without success in between is twice as long, up to the limit', () => {
    const shop = world(instances(4), { ejectionMs: 1_000, maxEjectionMs: 5_000 })
    for (const expectedMs of [1_000, 2_000, 4_000, 5_000, 5_000]) {
      pickThat(shop, 'i0').done('failed') // one is enough on trial; the first time it takes five
      if (!isEjected(shop, 'i0')) fail(shop, 'i0', 4)
      shop.nowMs += expectedMs - 1
      expect(isEjected(shop, 'i0')).toBe(true)
      shop.nowMs += 1
      expect(isEjected(shop, 'i0')).toBe(false)
    }
  })

  test('an instance that works again is trusted again', () => {
    const shop = world(instances(4), { slowStartMs: 10_000 })
    pickThat(shop, 'i0').done('unreachable')
    shop.nowMs += 1_000
    pickThat(shop, 'i0').done('ok')
    shop.nowMs += 10_000
    pickThat(shop, 'i0').done('ok')
    fail(shop, 'i0', 4)
    expect(isEjected(shop, 'i0')).toBe(false)
    fail(shop, 'i0', 1)
    shop.nowMs += 1_000
    expect(isEjected(shop, 'i0')).toBe(false)
  })

  test('failures of calls that were under way when it was ejected do not make it longer', () => {
    const shop = world(instances(4))
    const running = Array.from({ length: 30 }, () => pickThat(shop, 'i0'))
    for (const pick of running) pick.done('unreachable')
    shop.nowMs += 1_000
    expect(isEjected(shop, 'i0')).toBe(false)
  })

  test('never more than half are ejected, and the only one never', () => {
    for (const [count, most] of [
      [1, 0],
      [2, 1],
      [3, 1],
      [10, 5],
    ] as const) {
      const shop = world(instances(count))
      for (let call = 0; call < 500; call++) pickOf(shop).done('unreachable')
      expect(shop.inspect().filter((one) => one.isEjected)).toHaveLength(most)
    }
  })

  test('when the healthy ones leave, the ejected are tried again: panic', () => {
    const shop = world(instances(4))
    pickThat(shop, 'i0').done('unreachable')
    pickThat(shop, 'i1').done('unreachable')
    shop.list = shop.list.slice(0, 3)
    const picked = new Set(Array.from({ length: 100 }, () => pickOf(shop).instance.id))
    expect(picked).toEqual(new Set(['i0', 'i1', 'i2']))
  })

  test('a restart under the same id begins without its past', () => {
    const shop = world(instances(4))
    pickThat(shop, 'i0').done('unreachable')
    shop.list = shop.list.map((one) => (one.id === 'i0' ? { ...one, startedAtMs: 2 } : one))
    expect(isEjected(shop, 'i0')).toBe(false)
  })

  test('a call that ends after its instance has left touches nobody', () => {
    const shop = world(instances(4))
    const pick = pickThat(shop, 'i0')
    shop.list = shop.list.slice(1)
    pick.done('unreachable')
    expect(shop.inspect().some((one) => one.isEjected)).toBe(false)
  })
})

describe('newcomers', () => {
  /** Five instances at 10 ms under load; then one more. Its share of the calls in each second. */
  function joins(slowStartMs: number) {
    const shop = world(instances(5), { slowStartMs, decayMs: 10_000 })
    const second = () => {
      let count = 0
      for (let call = 0; call < 500; call++) {
        const pick = pickOf(shop)
        if (pick.instance.id === 'new') count++
        shop.nowMs += 2
        pick.done('ok')
      }
      return count / 500
    }
    for (let warm = 0; warm < 20; warm++) second()
    shop.list = [...shop.list, instance('new')]
    return Array.from({ length: 12 }, second)
  }

  test('a newcomer starts with a small share that grows to its own', () => {
    const shares = joins(10_000)
    expect(shares[0]).toBeLessThan(0.06)
    expect(shares[4]).toBeGreaterThan(shares[0] ?? 1)
    expect(shares[4]).toBeLessThan(0.14)
    expect(shares[11]).toBeGreaterThan(0.1)
    expect(Math.max(...shares)).toBeLessThan(0.3)
  })

  test('control: without slow start it has its full share from the first second', () => {
    expect(joins(0)[0]).toBeGreaterThan(0.1)
  })

  test('its first latency is the median of the others: neither a magnet nor a leper', () => {
    const shop = world(instances(3))
    for (const [index, { id }] of shop.list.entries()) {
      const pick = pickThat(shop, id)
      shop.nowMs += 10 * (index + 1) ** 2
      pick.done('ok')
    }
    const latencies = shop.inspect().map(({ latencyMs }) => latencyMs)
    shop.list = [...shop.list, instance('new')]
    expect(shop.inspect()[3]?.latencyMs).toBe(latencies.sort((a, b) => a - b)[1])
  })
})

describe('choosing', () => {
  test('nobody is picked from an empty list, and somebody as soon as there is one', () => {
    const shop = world([])
    expect(shop.pick()).toBeUndefined()
    shop.list = instances(1)
    expect(shop.pick()?.instance.id).toBe('i0')
  })

  test('instances that were tried are left out, ejected ones come before nobody', () => {
    const shop = world(instances(3))
    pickThat(shop, 'i2').done('unreachable')
    expect(pickOf(shop, new Set(['i0'])).instance.id).toBe('i1')
    expect(pickOf(shop, new Set(['i0', 'i1'])).instance.id).toBe('i2')
    expect(shop.pick(new Set(['i0', 'i1', 'i2']))).toBeUndefined()
  })

  test('the one healthy among a thousand is found', () => {
    const shop = world(instances(1_000))
    const others = new Set(shop.list.slice(1).map(({ id }) => id))
    expect(pickOf(shop, others).instance.id).toBe('i0')
  })
})
