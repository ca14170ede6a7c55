/** How far an import is, on standard error: one line that changes on a terminal, a line now and then in a log. */

const terminalEveryMs = 100
const logEveryMs = 5_000
const newline = 0x0a

export function createProgress(size: number | undefined, out: NodeJS.WriteStream = process.stderr) {
  const startedAtMs = performance.now()
  const everyMs = out.isTTY ? terminalEveryMs : logEveryMs
  let byteCount = 0
  let lineCount = 0
  let shownAtMs = startedAtMs
  return { add, finish, tookMs: () => performance.now() - startedAtMs }

  function add(piece: Buffer) {
    byteCount += piece.length
    for (let at = piece.indexOf(newline); at !== -1; at = piece.indexOf(newline, at + 1)) lineCount += 1
    const nowMs = performance.now()
    if (nowMs - shownAtMs < everyMs) return
    shownAtMs = nowMs
    show()
  }

  function show() {
    const seconds = (performance.now() - startedAtMs) / 1_000
    const of = size === undefined ? '' : ` of ${megabytes(size)}`
    const text = `${number(lineCount)} lines, ${megabytes(byteCount)}${of} sent, ${number(lineCount / seconds)} lines/s`
    out.write(out.isTTY ? `\r\u001B[K${text}` : `${text}\n`)
  }

  function finish() {
    if (out.isTTY) out.write('\r\u001B[K')
  }
}

export const number = (value: number) => Math.round(value).toLocaleString('en')
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
