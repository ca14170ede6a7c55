/** `1 partition`, `2 partitions`, `20,000 products`. Only for nouns that take an s. */
export function counted(count: number, noun: string): string {
  return `${Math.round(count).toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
