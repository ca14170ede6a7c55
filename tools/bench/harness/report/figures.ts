/** Figures as people read them. */

import type { Format } from '../suite.ts'
import type { Ratio } from './statistics.ts'

const formats: Record<Format, (value: number) => string> = {
  perSecond: (value) => `${scaled(value)}/s`,
  us: (value) => (value >= 10_000 ? `${digits(value / 1000)} ms` : `${digits(value)} us`),
  ms: (value) => `${digits(value)} ms`,
  count: (value) => (Number.isInteger(value) ? String(value) : digits(value)),
  bytes: (value) => `${digits(value)} B`,
}

export function formatFigure(value: number, format: Format): string {
  return formats[format](value)
}

export function formatRatio({ median }: Ratio): string {
  return `${median.toFixed(median < 10 ? 2 : 1)}x`
}

/** With the quartiles of the rounds. */
export function formatSpread(value: Ratio): string {
  const [low, high] = [value.low, value.high].map((one) => one.toFixed(one < 10 ? 2 : 1))
  return `${formatRatio(value)} (${low}-${high})`
}

function scaled(value: number): string {
  if (value >= 1e6) return `${digits(value / 1e6)} M`
  return value >= 1e3 ? `${digits(value / 1e3)} k` : digits(value)
}

/** Three of them. */
function digits(value: number): string {
  if (value >= 100) return String(Math.round(value))
  return value.toFixed(value >= 10 ? 1 : 2)
}
