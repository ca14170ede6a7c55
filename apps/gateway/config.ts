/** What the gateway is told through its environment. */

import { createCrossOriginCheck } from '@shop/service-kit/identity/cross-origin'
import {
  ConfigError,
  cacheConfig,
  commonConfig,
  Integer,
  mintIdentityConfig,
  stateConfig,
  Text,
} from '@shop/service-kit/process/config'
import { type Static, Type } from 'typebox'
import { trustedProxies } from './address.ts'

export const configSchema = Type.Object({
  ...commonConfig,
  ...cacheConfig,
  ...stateConfig,
  ...mintIdentityConfig,
  TRUSTED_ORIGINS: Type.Optional(
    Text({ doc: 'Other origins whose pages may send unsafe requests, separated by commas: https://partner.example' }),
  ),
  TRUST_PROXY: Type.Optional(
    Text({
      doc: 'Proxies trusted to name the client: their number, or their networks (10.0.0.0/8,loopback,private)',
    }),
  ),
  RATE_LIMIT_FILE: Type.Optional(
    Text({ doc: 'YAML file with the limits; default apps/gateway/limits/policies.yaml, which explains its form' }),
  ),
  REQUEST_TIMEOUT_MS: Integer({
    doc: 'Longest time for a service to answer, retries included',
    default: 10_000,
    minimum: 100,
    maximum: 600_000,
  }),
  STREAM_MAX_COUNT: Integer({
    doc: 'Most open streams (events, uploads) of one service',
    default: 1_000,
    minimum: 1,
  }),
  STREAM_MAX_COUNT_PER_CALLER: Integer({
    doc: 'Most open streams of one user, or of one address without a user',
    default: 10,
    minimum: 1,
  }),
  STREAM_IDLE_MS: Integer({
    doc: 'Longest silence of a stream, in either direction',
    default: 60_000,
    minimum: 100,
    maximum: 3_600_000,
  }),
  STREAM_MAX_MS: Integer({
    doc: 'Longest event stream; browsers then reconnect and their session is checked again',
    default: 900_000,
    minimum: 100,
    maximum: 86_400_000,
  }),
})

export type Config = Static<typeof configSchema>

/** The proxies and origins that are trusted; the schema cannot check them. Throws a ConfigError that names the variable. */
export function readTrust({ TRUST_PROXY, TRUSTED_ORIGINS }: Config) {
  const origins = TRUSTED_ORIGINS?.split(',').map((origin) => origin.trim())
  return {
    trustProxy: usable('TRUST_PROXY', () => trustedProxies(TRUST_PROXY)),
    isCrossOrigin: usable('TRUSTED_ORIGINS', () => createCrossOriginCheck(origins)),
  }
}

function usable<Value>(name: string, make: () => Value): Value {
  try {
    return make()
  } catch (error) {
    throw new ConfigError([`${name} is not valid: ${(error as Error).message}.`])
  }
}
