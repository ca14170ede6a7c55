/** Times of the environment that end in a timer, a key's lifetime or an int4 have a maximum. */
import { serviceNames } from '@shop/contracts/services'
import { expect, test } from 'vitest'

test.each(serviceNames)('each time of %s has a maximum', async (service) => {
  const { configSchema } = await import(`../apps/${service}/config.ts`)
  const times = Object.entries<{ maximum: number }>(configSchema.properties).filter(([name]) => name.endsWith('_MS'))
  expect(times.length).toBeGreaterThan(0)
  for (const [name, { maximum }] of times) expect([name, maximum <= 365 * 86_400_000]).toEqual([name, true])
})
