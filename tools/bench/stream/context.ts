/** What the comparisons of the stream run against. */
export interface Servers {
  redisUrl: string
}
