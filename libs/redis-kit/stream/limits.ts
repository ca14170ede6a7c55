/** A consumer counts as dead after so long at most: what lives only while it is renewed expires then. */
export const MAX_IDLE_MS = 300_000

/** The set of retries is renewed with each one put into it; no backoff is nearly as long. */
export const RETRY_SET_MS = 86_400_000

/** The janitor renews its note twice a minute; longer than an outbox keeps what it could compare with it. */
export const NOTE_MS = 2_592_000_000

/** What is on the disk is on the disk: this note is only there to be written. */
export const SYNCED_MS = 60_000
