import { Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createDurations } from './durations.ts'

const options = { name: 'request_seconds', help: 'h' }

async function page(durations: ReturnType<typeof createDurations>): Promise<string> {
  const registry = new Registry()
  registry.setDefaultLabels({ service: 's' })
  registry.registerMetric(durations.metric)
  return registry.metrics()
}

test("Prometheus reads the same as from prom-client's own histogram", async () => {
  const registry = new Registry()
  registry.setDefaultLabels({ service: 's' })
  const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  const theirs = new Histogram({
    ...options,
    labelNames: ['method', 'route', 'status'],
    buckets,
    registers: [registry],
  })
  const ours = createDurations(options)
  const edges = [0, 0.999, 1, 1.001, 2.5, 10_000, 10_001, 1e9]
  for (const [index, durationMs] of [
    ...edges,
    ...Array.from({ length: 200 }, () => Math.random() ** 8 * 20_000),
  ].entries()) {
    const [method, route, status] = [
      ['GET', 'PUT'][index % 2] as string,
      ['/a/:id', '/b"\\\n'][index % 3] ?? '/c',
      200 + (index % 2),
    ]
    ours.observe(method, route, status, durationMs)
    theirs.observe({ method, route, status }, durationMs / 1000)
  }
  const lines = (text: string) => text.trim().split('\n').map(sortLabels).sort()
  const sums = /^request_seconds_sum/
  expect(lines(await page(ours)).filter((line) => !sums.test(line))).toEqual(
    lines(await registry.metrics()).filter((line) => !sums.test(line)),
  )
})

function sortLabels(line: string): string {
  return line.replace(
    /\{(.*)\}/,
    (_, labels: string) =>
      `{${labels
        .split(/,(?=\w+=)/)
        .sort()
        .join(',')}}`,
  )
}

test('sums are of seconds', async () => {
  const durations = createDurations(options)
  durations.observe('GET', '/', 200, 1_500)
  durations.observe('GET', '/', 200, 500)
  expect(await page(durations)).toContain('request_seconds_sum{method="GET",route="/",status="200",service="s"} 2')
})

test('the number of series is bounded, and nothing goes uncounted', async () => {
  const durations = createDurations(options)
  for (let route = 0; route < 3_000; route += 1) durations.observe('GET', `/${route}`, 200, 1)
  const counts = (await page(durations)).split('\n').filter((line) => line.startsWith('request_seconds_count'))
  expect(counts.length).toBe(2_001)
  expect(counts.find((line) => line.includes('route="other"'))).toMatch(/ 1000$/)
})
