/** What the comparisons of the cache run against. */
export interface Servers {
  redisUrl: string
}
