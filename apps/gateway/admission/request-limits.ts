/** The limits of a request: which apply to it, whose it counts for in each, and one decision of them all. */
import {
  createRateLimits,
  type JointDecision,
  type NamedDecision,
  type Question,
} from '@shop/redis-kit/rate-limit/dimensions'
import type { Caller } from '../identity.ts'
import type { AppliedPolicy, DimensionName } from '../limits/policy.ts'
import type { RouteClass } from '../routes.ts'
import { createDigest } from './digest.ts'
import type { AppliedLimit, LimitSet } from './limit-set.ts'

/** An id per dimension. */
export interface Subject {
  /** addressGroup of the client's address. */
  address: string
  /** Method and pattern: `GET /api/products/:sku`. */
  route: string
  /** Undefined where the answer is the same for all, and while it cannot be known who asks. */
  caller?: Caller
}

export interface RequestDecision extends JointDecision {
  /** Only policies that fail closed refuse, because Redis did not decide: the caller has exceeded nothing. */
  isUnavailable: boolean
}

export interface RequestLimits {
  /** The denials that this process knows, of the address and the route: who asks is not known yet. Redis is not asked. */
  knownDenials(routeClass: RouteClass, subject: Subject): NamedDecision[]
  /** Takes from all limits of the class, or from none. */
  check(routeClass: RouteClass, subject: Subject): Promise<RequestDecision>
}

/** @param secret addresses and users are personal data: in a Redis that keeps files their ids are digests with it */
export function createRequestLimits(limits: LimitSet, secret: string): RequestLimits {
  const joint = createRateLimits()
  const digestOf = createDigest(secret)
  return { knownDenials, check }

  async function check(routeClass: RouteClass, subject: Subject): Promise<RequestDecision> {
    const applied = limits.of(routeClass)
    const decided = await joint.check(questions(applied, subject))
    return { ...decided, isUnavailable: !decided.allowed && decided.decisions.every(isAdmittedOrClosed(applied)) }
  }

  function knownDenials(routeClass: RouteClass, subject: Subject): NamedDecision[] {
    return questions(limits.of(routeClass), subject).flatMap(({ name, limit, id, cost }) => {
      const decision = limit.knownDenial(id, cost)
      return decision ? [{ name, policy: limit.policy, decision }] : []
    })
  }

  function questions(limitsOfClass: readonly AppliedLimit[], subject: Subject): Question[] {
    return limitsOfClass.flatMap((applied) => {
      const id = idIn(applied, subject)
      const { name, cost } = applied.policy
      return id === undefined ? [] : [{ name, limit: applied.limitOf(subject.caller), id, cost }]
    })
  }

  function idIn({ dimension, policy }: AppliedPolicy, subject: Subject): string | undefined {
    const id = idOf(dimension, subject)
    const isPersonal = dimension === 'address' || dimension === 'user'
    return id !== undefined && isPersonal && policy.role === 'state' ? digestOf(id) : id
  }
}

function isAdmittedOrClosed(applied: readonly AppliedLimit[]) {
  const closed = new Set(applied.flatMap(({ policy }) => (policy.onUnavailable === 'closed' ? [policy.name] : [])))
  return ({ name, decision: { allowed, degraded } }: NamedDecision) => allowed || (degraded && closed.has(name))
}

/** A dimension without an id does not apply: `user` to a guest, for example. */
function idOf(dimension: DimensionName, { address, route, caller }: Subject): string | undefined {
  switch (dimension) {
    case 'address':
      return address
    case 'route':
      return route
    case 'user':
      return caller?.identity.userId
    case 'session':
      return caller?.identity.session
    case 'api-key':
      return caller?.apiKey?.id
  }
}
