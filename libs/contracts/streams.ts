/** The streams between the services as the console sees them: how far behind each reader is, and what it has given up. */
import { type Static, Type } from 'typebox'

const Count = Type.Integer({ minimum: 0 })

export const StreamConsumer = Type.Object({
  consumer: Type.String(),
  pendingCount: Count,
  /** Since it last took something or said that it still works on it; who waits for events says nothing. */
  idleMs: Count,
})
export type StreamConsumer = Static<typeof StreamConsumer>

export const StreamGroup = Type.Object({
  group: Type.String(),
  /** Published and not yet handed to the group. */
  lagCount: Count,
  /** false: it is a large number, and Redis' estimate of it. */
  isLagExact: Type.Boolean(),
  /** Handed out and not finished, what waits for a retry included. */
  pendingCount: Count,
  retryCount: Count,
  /** How long ago the oldest unfinished event was published; 0 when there is none. */
  oldestAgeMs: Count,
  consumers: Type.Array(StreamConsumer),
})
export type StreamGroup = Static<typeof StreamGroup>

export const StreamTopic = Type.Object({
  /** `order:events` */
  topic: Type.String(),
  partitionCount: Count,
  /** What every group has finished included, until it is trimmed. */
  lengthCount: Count,
  /** Of all groups together. */
  deadLetterCount: Count,
  groups: Type.Array(StreamGroup),
})
export type StreamTopic = Static<typeof StreamTopic>

/** What the owner of some topics answers. */
export const StreamTopicList = Type.Object(
  { items: Type.Array(StreamTopic) },
  { description: 'The streams of this service' },
)
export type StreamTopicList = Static<typeof StreamTopicList>

/** What the gateway makes of all owners' answers. What an owner does not show, because it is away, is named. */
export const StreamOverview = Type.Object({
  items: Type.Array(StreamTopic),
  unavailable: Type.Array(Type.Object({ service: Type.String(), topics: Type.Array(Type.String()) })),
})
export type StreamOverview = Static<typeof StreamOverview>

export const TopicParams = Type.Object(
  { topic: Type.String({ minLength: 1, maxLength: 100 }) },
  { additionalProperties: false },
)
export const DeadLetterParams = Type.Object(
  { ...TopicParams.properties, id: Type.String({ minLength: 1, maxLength: 50 }) },
  { additionalProperties: false },
)

export const DeadLetterQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
)
export type DeadLetterQuery = Static<typeof DeadLetterQuery>

export const DeadLetter = Type.Object({
  id: Type.String(),
  /** Who gave it up: it alone gets it again. */
  group: Type.String(),
  reason: Type.String(),
  /** How often it was handed out. */
  attemptCount: Count,
  deadSince: Type.String({ format: 'date-time' }),
  /** Of the event; absent when the entry was not one, or had been trimmed. */
  eventId: Type.Optional(Type.String()),
  key: Type.Optional(Type.String()),
  type: Type.Optional(Type.String()),
})
export type DeadLetter = Static<typeof DeadLetter>

export const DeadLetterPage = Type.Object(
  {
    items: Type.Array(DeadLetter),
    nextCursor: Type.Union([Type.String(), Type.Null()]),
  },
  { description: 'A page of dead letters, oldest first' },
)
export type DeadLetterPage = Static<typeof DeadLetterPage>

export const DeadLetterDetail = Type.Object(
  {
    ...DeadLetter.properties,
    /** Where it was on the stream. */
    streamId: Type.String(),
    partition: Count,
    /** Stack trace of the failure, where there was one. */
    trace: Type.String(),
    /** As it was published. */
    body: Type.Optional(Type.String()),
    /** The trace context (W3C) and the id of the request it came from, where the event says so. */
    traceparent: Type.Optional(Type.String()),
    requestId: Type.Optional(Type.String()),
    /** Whatever else the entry had: all there is to see of one that was not an event. */
    otherFields: Type.Record(Type.String(), Type.String()),
  },
  { description: 'The dead letter, with its event and the reason of its failure' },
)
export type DeadLetterDetail = Static<typeof DeadLetterDetail>

/** Where it is on the stream now. */
export const Redriven = Type.Object(
  { streamId: Type.String() },
  { description: 'The position of the event on the stream' },
)
export type Redriven = Static<typeof Redriven>

export const RedriveAllQuery = Type.Object(
  {
    /** The oldest ones. */
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  },
  { additionalProperties: false },
)
export type RedriveAllQuery = Static<typeof RedriveAllQuery>

export const RedrivenAll = Type.Object(
  { redrivenCount: Count, remainingCount: Count },
  { description: 'The numbers of redriven and of remaining dead letters' },
)
export type RedrivenAll = Static<typeof RedrivenAll>
