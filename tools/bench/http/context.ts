/** What the comparisons of the catalog run against. */
export interface Servers {
  /** The cache. */
  redisUrl: string
  stateUrl: string
  databaseUrl: string
  identity: { privateKey: string; publicKey: string }
}
