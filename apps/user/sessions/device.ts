/** What a person recognises a signed-in device by. */
import type { SessionInfo } from '@shop/contracts/user'
import type { SessionSummary } from '@shop/redis-kit/session'

const maxDeviceLength = 200

/** The browser's own words, cut short; they are shown to the owner of the session only, and never trusted. */
export function deviceOf(userAgent: string | undefined): string {
  return (userAgent ?? 'unknown device').slice(0, maxDeviceLength)
}

export function sessionInfo(session: SessionSummary, current: string | undefined): SessionInfo {
  return {
    id: session.handle,
    device: session.device,
    current: session.handle === current,
    createdAt: new Date(session.createdAtMs).toISOString(),
    expiresAt: new Date(session.expiresAtMs).toISOString(),
  }
}
