/** The private CA: its servers are believed under their own name, and nobody else's are. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { createAuthority, issueCertificate, type ServerCertificate } from './certificates.ts'

const authority = await createAuthority()
const stranger = await createAuthority()
const server = await issueCertificate(authority, 'redis-state')
const dayMs = 24 * 60 * 60 * 1000

it('signs certificates for one name, and for localhost inside the container', () => {
  const certificate = new X509Certificate(server.certificatePem)
  const root = new X509Certificate(authority.certificatePem)
  expect(certificate.checkIssued(root)).toBe(true)
  expect(certificate.verify(root.publicKey)).toBe(true)
  expect(certificate.checkHost('redis-state')).toBe('redis-state')
  expect(certificate.checkHost('localhost')).toBe('localhost')
  expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
  expect(certificate.checkHost('redis-cache')).toBeUndefined()
  expect(certificate.ca).toBe(false)
  expect(root.ca).toBe(true)
})

it('does not confirm what another CA of the same name has signed', () => {
  const root = new X509Certificate(stranger.certificatePem)
  expect(new X509Certificate(server.certificatePem).verify(root.publicKey)).toBe(false)
})

it('makes certificates that are valid now, and not for ever', () => {
  const { validFromDate, validToDate } = new X509Certificate(server.certificatePem)
  expect(validFromDate.getTime()).toBeLessThan(Date.now())
  expect(validToDate.getTime() - Date.now()).toBeGreaterThan(800 * dayMs)
  expect(validToDate.getTime() - Date.now()).toBeLessThan(826 * dayMs)
})

it('is what a TLS client believes, for the right name only', async () => {
  expect(await handshake(server, { ca: authority.certificatePem, servername: 'redis-state' })).toBe('authorized')
  expect(await handshake(server, { ca: authority.certificatePem, servername: 'postgres' })).toBe(
    'ERR_TLS_CERT_ALTNAME_INVALID',
  )
})

it('makes a TLS client refuse a server of another CA, and ours without our root', async () => {
  const impostor = await issueCertificate(stranger, 'redis-state')
  const codes = [
    await handshake(impostor, { ca: authority.certificatePem, servername: 'redis-state' }),
    await handshake(server, { ca: stranger.certificatePem, servername: 'redis-state' }),
    await handshake(server, { servername: 'redis-state' }),
  ]
  for (const code of codes) expect(code).toMatch(/SIGNATURE|UNABLE_TO_(VERIFY|GET)|SELF_SIGNED/)
})

async function handshake(certificate: ServerCertificate, client: { ca?: string; servername: string }): Promise<string> {
  const listener = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem })
  listener.on('tlsClientError', () => {})
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void listener.close())
  const socket = connect({ host: '127.0.0.1', port: (listener.address() as AddressInfo).port, ...client })
  try {
    await once(socket, 'secureConnect')
    return 'authorized'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
  }
}
