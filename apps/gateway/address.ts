/** From which address a request comes, and which addresses the rate limit counts together. */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Answers whether the proxy at `address`, the `hop`-th from here, is believed about the address before it. */
export type TrustProxy = (address: string | undefined, hop: number) => boolean

const namedNetworks: Record<string, readonly string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10'],
}

/**
 * TRUST_PROXY as a function. A number is how many proxies stand in front of the gateway, whatever their addresses: everything that can
 * reach the port is believed. A list names their addresses and networks, and a request from elsewhere is taken as it comes.
 * Throws for text that is neither.
 */
export function trustedProxies(text = ''): TrustProxy {
  if (text === '') return () => false
  if (/^\d{1,2}$/.test(text)) return (_address, hop) => hop < Number(text)
  const networks = new BlockList()
  for (const name of text.split(',').map((part) => part.trim())) {
    for (const network of namedNetworks[name] ?? [name]) addNetwork(networks, network)
  }
  return (address) => {
    const known = bareAddress(address)
    return known !== undefined && networks.check(known, isIPv6(known) ? 'ipv6' : 'ipv4')
  }
}

function addNetwork(networks: BlockList, network: string) {
  const [address = '', prefix, ...rest] = network.split('/')
  const family = isIP(address)
  const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix)
  const isValid =
    family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix ?? '0') && bits <= (family === 6 ? 128 : 32)
  if (!isValid) {
    throw new TypeError(
      'it must be the number of proxies, or their addresses and networks: 10.0.0.0/8,loopback,private',
    )
  }
  networks.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * The client's address: from the peer back through X-Forwarded-For, for as long as the proxy that wrote the next entry is trusted. That
 * of the peer when a trusted proxy has written something else in its place.
 */
export function clientAddress({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>, trust: TrustProxy) {
  const peer = socket.remoteAddress
  const forwarded = String(headers['x-forwarded-for'] ?? '')
  let address = peer
  let end = forwarded.length
  let hop = 0
  while (end > 0 && trust(address, hop)) {
    const comma = forwarded.lastIndexOf(',', end - 1)
    const entry = forwarded.slice(comma + 1, end).trim()
    end = comma
    if (entry === '') continue
    address = entry
    hop += 1
  }
  return bareAddress(address) ?? bareAddress(peer) ?? ''
}

/** Without a port (`203.0.113.7:4711`, `[2001:db8::1]:4711`), a zone, or the form of IPv4 in IPv6; undefined for anything else. */
export function bareAddress(text = ''): string | undefined {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text) ?? []
  const address = (bracketed ?? dotted ?? text).split('%')[0] as string
  if (isIP(address) === 0) return undefined
  return /:ffff:/i.test(address) ? (mappedAddress(groupsOf(address)) ?? address) : address
}

/** An IPv4 address is counted alone, an IPv6 address by its first 64 bits: the owner of one address has the whole /64. */
export function addressGroup(address: string): string {
  if (!isIPv6(address)) return address
  return groupsOf(address)
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')
}

/** The IPv4 address in `::ffff:203.0.113.7`, however it is written. */
function mappedAddress(groups: number[]): string | undefined {
  const [high = 0, low = 0] = groups.slice(6)
  const isMapped = groups.slice(0, 6).every((group, place) => group === (place === 5 ? 0xffff : 0))
  return isMapped ? [high >> 8, high & 255, low >> 8, low & 255].join('.') : undefined
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const [left, right] = [numbersIn(head), numbersIn(tail)]
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => 0)
  return [...left, ...zeros, ...right]
}

/** The groups of a part of an address. An IPv4 address at its end is two of them. */
function numbersIn(text = ''): number[] {
  const parts = text.split(':').filter(Boolean)
  return parts.flatMap((part) => {
    const [a = 0, b = 0, c = 0, d] = part.split('.').map(Number)
    return d === undefined ? [Number.parseInt(part, 16)] : [a * 256 + b, c * 256 + d]
  })
}
