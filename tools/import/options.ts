/** The command line of `npm run import`. */
import { extname } from 'node:path'
import { defaultAdminEmail } from '../command-line/admin-session.ts'
import { parseArguments, shopUrl } from '../command-line/arguments.ts'

const formats = { ndjson: 'application/x-ndjson', csv: 'text/csv' } as const
type Format = keyof typeof formats

export interface ImportOptions {
  /** A path, or `-` for standard input. */
  file: string
  url: string
  email: string
  contentType: string
}

export const help = `Import products from a file into a running shop. New products are added, those
with a known sku are changed. Safe to repeat.

  npm run import -- FILE [options]

  FILE            .ndjson: one JSON object per line; .csv: a header line, then
                  one line per product; -: standard input
  --url URL       the shop      (default SHOP_URL, else http://localhost:8080)
  --email EMAIL   an administrator
                          (default SHOP_ADMIN_EMAIL, else ${defaultAdminEmail})
  --format F      ndjson or csv, if the file name does not tell
  --help          this text

Each product has sku, name, description, category, priceCents, stockCount.
The administrator's password is read from SHOP_ADMIN_PASSWORD or the terminal;
\`npm run demo\` prints it. Progress goes to standard error, the report to
standard output.

Exit code: 0 all lines imported, 1 some lines refused (the report names them),
2 the import failed or ended early.
`

/** Throws an Error with a sentence for the person who typed it. */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): ImportOptions | 'help' {
  const { values, positionals } = parseArguments({
    args: [...args],
    allowPositionals: true,
    options: {
      url: { type: 'string', default: env.SHOP_URL || 'http://localhost:8080' },
      email: { type: 'string', default: env.SHOP_ADMIN_EMAIL || defaultAdminEmail },
      format: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const [file, ...others] = positionals
  if (file === undefined) throw new Error('Name a file: npm run import -- FILE.')
  if (others.length > 0) throw new Error(`Name one file only, without ${others.join(', ')}.`)
  return { file, url: shopUrl(values.url), email: values.email, contentType: formats[formatOf(file, values.format)] }
}

function formatOf(file: string, given: string | undefined): Format {
  const name = given ?? extname(file).slice(1).toLowerCase()
  const format = name === 'jsonl' ? 'ndjson' : name
  if (Object.hasOwn(formats, format)) return format as Format
  if (given !== undefined) throw new Error(`--format must be ndjson or csv, not "${given}".`)
  throw new Error(`The file name ${file} does not tell the format: add --format ndjson or --format csv.`)
}
