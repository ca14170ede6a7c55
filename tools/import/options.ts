/** The command line of `npm run import`. */
import { extname } from 'node:path'
import { defaultAdminEmail } from '../admin-session.ts'
import { parseArguments, shopUrl } from '../arguments.ts'

const formats = { ndjson: 'application/x-ndjson', csv: 'text/csv' } as const
type Format = keyof typeof formats

export interface ImportOptions {
  /** A path, or `-` for standard input. */
  file: string
  url: string
  email: string
  contentType: string
}

export const help = `Put products from a file into a running shop: new ones are added, known ones
(by sku) changed. Safe to run again.

  npm run import -- FILE [options]

  FILE            .ndjson: a JSON object per line; .csv: a header line, then a
                  line per product; - : standard input
  --url URL       the shop      (default SHOP_URL, else http://localhost:8080)
  --email EMAIL   an administrator
                          (default SHOP_ADMIN_EMAIL, else ${defaultAdminEmail})
  --format F      ndjson or csv, when the name of the file does not say
  --help          this text

Each product has sku, name, description, category, priceCents, stockCount.
The administrator's password is asked for, or taken from SHOP_ADMIN_PASSWORD;
\`npm run demo\` prints it. Progress goes to standard error, the report to
standard output.
Exit code: 0 everything was taken, 1 lines were refused (the report names
them), 2 the import did not take place or ended early.
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
  if (file === undefined) throw new Error('No file is named: npm run import -- FILE.')
  if (others.length > 0) throw new Error(`One file at a time, not also ${others.join(', ')}.`)
  return { file, url: shopUrl(values.url), email: values.email, contentType: formats[formatOf(file, values.format)] }
}

function formatOf(file: string, given: string | undefined): Format {
  const name = given ?? extname(file).slice(1).toLowerCase()
  const format = name === 'jsonl' ? 'ndjson' : name
  if (Object.hasOwn(formats, format)) return format as Format
  if (given !== undefined) throw new Error(`--format takes ndjson or csv, not "${given}".`)
  throw new Error(`The name ${file} does not say what it holds: add --format ndjson or --format csv.`)
}
