/** What a page of metrics says. */
import type { Metrics } from './metrics.ts'

/** The value of the one series of this name with these labels, besides those of the process; undefined without one. */
export async function seriesValue(
  metrics: Metrics,
  name: string,
  labels: Record<string, string>,
): Promise<number | undefined> {
  const { text } = await metrics.page()
  const wanted = Object.entries(labels).map(([label, text]) => `${label}="${text}"`)
  const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && wanted.every((part) => one.includes(part)))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')))
}
