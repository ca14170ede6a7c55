/** `npm run house`: the figures of the repository as a table, of this checkout or of another one. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArguments } from './command-line/arguments.ts'
import { root } from './command-line/run.ts'
import { readCheckout } from './house/checkout.ts'
import { exceptions } from './house/exceptions.ts'
import { countHouse } from './house/figures.ts'
import { figuresTable } from './house/table.ts'

const help = `Count what a reader of the repository meets: large folders, import cycles,
functions with many parameters, casts, mechanisms that are written more than
once, README code that does not compile, long lines.

  npm run house                   this checkout
  npm run house -- PATH           another checkout, as an older commit
  npm run house -- PATH --json    the figures as JSON, with the files of each
  npm run house -- --help         this text

README code is compiled in a checkout that has node_modules. The rules that
tests hold, and their exceptions, are in tools/house/.

Exit code: 0 counted, 2 it could not count.
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  try {
    const options = parse(args)
    if (options === 'help') {
      process.stdout.write(help)
      return 0
    }
    if (!existsSync(join(options.path, 'libs/redis-kit')))
      throw new Error(`${options.path} is not a checkout of this shop.`)
    const figures = await countHouse(readCheckout(options.path))
    process.stdout.write(
      options.isJson
        ? `${JSON.stringify(figures, undefined, 2)}\n`
        : figuresTable(figures, options.path === root ? exceptions : undefined),
    )
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\nSee npm run house -- --help\n`)
    return 2
  }
}

function parse(args: string[]) {
  const { values, positionals } = parseArguments({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  })
  if (values.help) return 'help'
  if (positionals.length > 1) throw new Error('One checkout at a time.')
  return { isJson: values.json, path: resolve(positionals[0] ?? root) }
}
