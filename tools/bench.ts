/**
 * `npm run bench`: comparisons with other libraries. They live in a workspace of their own (bench/), because only they need
 * those libraries.
 */
import { runTool } from './command-line/run.ts'

process.exitCode = await runTool('node', ['tools/bench/bench.ts', ...process.argv.slice(2)])
