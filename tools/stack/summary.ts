/** What a person sees when the shop is open: where to look, who to be, what to try. */
import type { Stack } from './start.ts'

export function summary(stack: Stack, dataDir: string, tookMs: number): string {
  const parts = stack.parts().map((part) => [part.name, `127.0.0.1:${part.port}`, `pid ${part.pid}`, part.what])
  const accounts = stack.accounts.map(({ name, email, password, role }) => [name, email, password, role])
  const buyer = stack.accounts[0]
  const credentials = JSON.stringify({ email: buyer?.email, password: buyer?.password })
  return `
The shop is open: ${stack.url}   (started in ${(tookMs / 1000).toFixed(1)} s)

What runs where
${table(parts)}

Who you can be (email, password)
${table(accounts)}

Try
  curl -s '${stack.url}/api/products?limit=3'
  curl -si ${stack.url}/api/products/${stack.sampleSku} | grep -i x-cache     # twice: from Postgres, from the cache
  curl -s -c cookies.txt -H 'content-type: application/json' -d '${credentials}' ${stack.url}/api/sessions

Data, logs and passwords are in ${dataDir}. Ctrl-C stops everything.
`
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map(
      (row) =>
        `  ${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}`,
    )
    .join('\n')
}
