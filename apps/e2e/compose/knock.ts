/** Programs for `node -e` inside a container: each tries one connection and prints in a word what came of it. */

const timeoutMs = 3_000

/** `connected`, or the code of the error. */
export function tryTcp(host: string, port: number): string {
  return `{
    const socket = require('node:net').connect({ host: '${host}', port: ${port}, timeout: ${timeoutMs} })
    const say = (word) => { console.log(word); socket.destroy() }
    socket.once('connect', () => say('connected')).once('error', (error) => say(error.code)).once('timeout', () => say('timeout'))
  }`
}

/** What a Redis answers to PING in plain text: nothing, when it speaks TLS only. */
export function redisPlain(host: string): string {
  return exchange(host, 6379, `Buffer.from('PING\\r\\n')`)
}

/** What a Postgres answers to somebody who logs in without asking for TLS first. */
export function postgresPlain(host: string): string {
  const parameters = `'user\\0catalog\\0database\\0catalog\\0\\0'`
  return exchange(
    host,
    5432,
    `(() => {
      const parameters = Buffer.from(${parameters})
      const head = Buffer.alloc(8)
      head.writeInt32BE(8 + parameters.length, 0)
      head.writeInt32BE(196608, 4) // protocol 3.0
      return Buffer.concat([head, parameters])
    })()`,
  )
}

/** `authorized`, or the code of the error. `another` is a CA that exists, but signed nothing here. */
export function tlsTo(host: string, { ca, name = host }: { ca: 'ours' | 'another'; name?: string }): string {
  const pem = ca === 'ours' ? `require('node:fs').readFileSync('/run/shop/ca.crt')` : `tls.rootCertificates[0]`
  return `
    const tls = require('node:tls')
    const socket = tls.connect({ host: '${host}', port: 6379, servername: '${name}', ca: ${pem}, timeout: ${timeoutMs} })
    const say = (word) => { console.log(word); socket.destroy() }
    socket.once('secureConnect', () => say('authorized')).once('error', (error) => say(error.code)).once('timeout', () => say('timeout'))`
}

function exchange(host: string, port: number, bytes: string): string {
  return `
    const socket = require('node:net').connect({ host: '${host}', port: ${port}, timeout: ${timeoutMs} })
    let answer = ''
    socket.on('data', (chunk) => { answer += chunk.toString('latin1'); socket.destroy() })
    socket.once('connect', () => socket.write(${bytes})).once('timeout', () => socket.destroy())
    socket.once('error', (error) => { answer += error.code }).once('close', () => console.log(answer))`
}
