/** The rate limits of the gateway as the console sees and changes them: the table in force, overrides, and who changed what. */
import { type Static, Type } from 'typebox'

/** The largest count, burst or cost of a policy. */
export const maxLimitCount = 1_000_000_000

const Count = Type.Integer({ minimum: 1, maximum: maxLimitCount })
const Time = Type.String({ format: 'date-time' })

export const LimitAlgorithm = Type.Union([
  Type.Literal('gcra'),
  Type.Literal('token-bucket'),
  Type.Literal('fixed-window'),
  Type.Literal('sliding-window-counter'),
  Type.Literal('sliding-window-log'),
])

/** While Redis does not answer: open admits, closed refuses, local counts in each instance. */
export const LimitFailPolicy = Type.Union([Type.Literal('open'), Type.Literal('closed'), Type.Literal('local')])

/** `count` per `periodMs`, at most 366 days. */
const LimitRate = Type.Object(
  { count: Count, periodMs: Type.Integer({ minimum: 1, maximum: 31_622_400_000 }) },
  { additionalProperties: false },
)

/** The count is a property of the API key. */
const LimitPerKey = Type.Object(
  { perKey: Type.Union([Type.Literal('minute'), Type.Literal('day')]) },
  { additionalProperties: false },
)

/** `file` while the policy is as in the file; else the id of the change that made it so. */
const Revision = Type.String({ pattern: '^(file|\\d{1,20}-\\d{1,20})$' })

const overridden = {
  limit: LimitRate,
  /** For gcra and token-bucket. Without it: the count of the limit. */
  burst: Type.Optional(Count),
  /** Without it that of the file. Another algorithm begins with full buckets. */
  algorithm: Type.Optional(LimitAlgorithm),
  /** Without it that of the file. */
  onUnavailable: Type.Optional(LimitFailPolicy),
}

/** What an override says instead of the file. */
export const LimitValues = Type.Object(overridden, { additionalProperties: false })
export type LimitValues = Static<typeof LimitValues>

export const LimitOverride = Type.Object(
  {
    ...overridden,
    /** The revision that the change is based on, so that two administrators do not overwrite each other unseen. */
    revision: Revision,
  },
  {
    additionalProperties: false,
    description: 'New numbers of a policy, and the revision that they replace',
    examples: [{ limit: { count: 100, periodMs: 1_000 }, burst: 300, revision: 'file' }],
  },
)
export type LimitOverride = Static<typeof LimitOverride>

export const LimitParams = Type.Object(
  { policy: Type.String({ minLength: 1, maxLength: 40, examples: ['address'] }) },
  { additionalProperties: false },
)

export type LimitParams = Static<typeof LimitParams>

export const LimitRevisionQuery = Type.Object({ revision: Revision }, { additionalProperties: false })
export type LimitRevisionQuery = Static<typeof LimitRevisionQuery>

const Policy = Type.Object({
  name: Type.String(),
  /** Whose requests are counted together: address, user, session, api-key or route. */
  dimension: Type.String(),
  algorithm: LimitAlgorithm,
  limit: Type.Union([LimitRate, LimitPerKey]),
  burst: Type.Optional(Count),
  /** The Redis that counts. */
  role: Type.Union([Type.Literal('cache'), Type.Literal('state')]),
  onUnavailable: LimitFailPolicy,
  cost: Type.Optional(Count),
})

export const LimitInForce = Type.Object(
  {
    ...Policy.properties,
    revision: Revision,
    /** Present while an override is in force. */
    override: Type.Optional(
      Type.Object({
        by: Type.String(),
        at: Time,
        /** What the file says. */
        file: Policy,
      }),
    ),
  },
  { description: 'The policy in force' },
)
export type LimitInForce = Static<typeof LimitInForce>

/** Stored and not in force: the policy has left the file, or contradicts it now, or the entry is damaged. */
const UnusedOverride = Type.Object({
  policy: Type.String(),
  revision: Revision,
  reason: Type.String(),
})

const LimitInstance = Type.Object({
  id: Type.String(),
  /** Equal versions are equal tables. */
  version: Type.String(),
  /** When it said so. */
  seenAt: Time,
})

const LimitChange = Type.Object({
  id: Type.String(),
  at: Time,
  /** The administrator's user id. */
  by: Type.String(),
  policy: Type.String(),
  action: Type.Union([Type.Literal('override'), Type.Literal('reset')]),
  /** What was in force before, and what is since: after a reset the values of the file. Absent for an override that was not in use. */
  from: Type.Optional(LimitValues),
  to: Type.Optional(LimitValues),
})

export const LimitOverview = Type.Object(
  {
    /** Of the table in the instance that answers. */
    version: Type.String(),
    policies: Type.Array(LimitInForce),
    /** What applies to each class of routes. */
    classes: Type.Array(
      Type.Object({
        class: Type.String(),
        limits: Type.Array(Type.Object({ dimension: Type.String(), policies: Type.Array(Type.String()) })),
        bulkhead: Type.Object({ maxConcurrent: Count, maxConcurrentPerAddress: Count, bodyMaxBytes: Type.Integer() }),
      }),
    ),
    maxConnectionsPerAddress: Count,
    unused: Type.Array(UnusedOverride),
    instances: Type.Array(LimitInstance),
    /** The last 100 changes, newest first. */
    changes: Type.Array(LimitChange),
  },
  { description: 'The limits in force, their overrides, the instances and the last changes' },
)
export type LimitOverview = Static<typeof LimitOverview>
