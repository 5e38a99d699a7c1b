/** Questions about IP addresses and Host headers, asked of texts that came from outside. */
import { BlockList, isIP, isIPv4 } from 'node:net'

/** An IPv4 address inside IPv6 is that IPv4 address: `::ffff:10.0.0.1` is `10.0.0.1`. */
export function plainAddress(address: string): string {
  const match = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return match?.[1] ?? address
}

export function isLoopback(address: string): boolean {
  const plain = plainAddress(address)
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}

/** What one party is likely to own: an IPv4 address, or the first 64 bits of an IPv6 one. */
export function networkOf(address: string): string {
  const plain = plainAddress(address)
  if (!plain.includes(':')) return plain
  const [head = '', tail = ''] = (plain.split('%')[0] ?? '').split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros = plain.includes('::') ? Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0') : []
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}

export type AddressList = { has(address: string | null): boolean }

/** A list of addresses and CIDR ranges. Throws for one that is neither. */
export function addressList(ranges: readonly string[]): AddressList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.trim().split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const bitsMax = family === 'ipv6' ? 128 : 32
    const prefix = bits === undefined ? bitsMax : Number(bits)
    if (isIP(address) === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > bitsMax || bits === '') {
      throw new Error(`${range} is no address and no CIDR range`)
    }
    list.addSubnet(address, prefix, family)
  }
  const isListed = (address: string): boolean => {
    const plain = plainAddress(address)
    const family = isIP(plain)
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4')
  }
  // The look-up leaves JavaScript and costs more than the whole rest of a read, so its last answers are kept.
  const known = new Map<string, boolean>()
  return {
    has: (address) => {
      if (address === null || ranges.length === 0) return false
      const before = known.get(address)
      if (before !== undefined) return before
      if (known.size >= knownMax) known.clear()
      const answer = isListed(address)
      known.set(address, answer)
      return answer
    },
  }
}

/** Addresses whose answer is kept. */
const knownMax = 4_096

/** The name in a Host header, lower case, without port and brackets; null when the header is malformed. */
export function hostName(host: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host)
  const name = match?.[1] ?? match?.[2]
  return name === undefined ? null : name.toLowerCase()
}

/**
 * A Host header that no page of another site can send: `localhost`, or an IP address. A name out of the public DNS may
 * be pointed at 127.0.0.1 by its owner, and a browser then lets that owner's pages read our answers (DNS rebinding).
 */
export function isOwnHost(host: string | null, names: ReadonlySet<string>): boolean {
  if (host === null) return false
  const name = hostName(host)
  if (name === null) return false
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0 || names.has(name)
}
