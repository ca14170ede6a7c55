/**
 * A small private certificate authority: one root, one certificate per server. ECDSA on P-256, SHA-256.
 * Services trust the root and nothing else, and check the name they connect to.
 */
import 'reflect-metadata' // what @peculiar/x509 is built on
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto as Crypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 24 * 60 * 60 * 1000
const rootDays = 3650
const serverDays = 825
/** Clocks of machines that talk to each other may differ a little. */
const backdateMs = 60 * 60 * 1000

export interface Authority {
  certificatePem: string
  privateKeyPem: string
}

export interface ServerCertificate {
  certificatePem: string
  privateKeyPem: string
}

export async function createAuthority(nowMs = Date.now()): Promise<Authority> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Redis Shop private CA',
    keys,
    signingAlgorithm: algorithm,
    serialNumber: newSerial(),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + rootDays * dayMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), privateKeyPem: await exportKey(keys.privateKey) }
}

/** For a server that is reached by `name`, and by localhost from inside its own container. */
export async function issueCertificate(
  authority: Authority,
  name: string,
  nowMs = Date.now(),
): Promise<ServerCertificate> {
  const root = new x509.X509Certificate(authority.certificatePem)
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: root.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.privateKeyPem),
    signingAlgorithm: algorithm,
    serialNumber: newSerial(),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + serverDays * dayMs),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: name },
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(root.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), privateKeyPem: await exportKey(keys.privateKey) }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

function importKey(pem: string): Promise<CryptoKey> {
  const bytes = x509.PemConverter.decode(pem)[0] as ArrayBuffer
  return webcrypto.subtle.importKey('pkcs8', bytes, algorithm, false, ['sign']) as Promise<CryptoKey>
}

/** 126 random bits, positive (RFC 5280, 4.1.2.2). */
function newSerial(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40
  return bytes.toString('hex')
}
