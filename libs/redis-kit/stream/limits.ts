/** A consumer counts as dead after so long at most: what lives only while it is renewed expires then. */
export const MAX_IDLE_MS = 300_000

/** The set of retries is renewed with each one put into it; no backoff is nearly as long. */
export const RETRY_SET_MS = 86_400_000
