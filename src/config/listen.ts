/** What `server.listen` may be, and whether anybody outside this machine can reach it. */
import { isIPv4, isIPv6 } from 'node:net'

export type Listen =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly isLoopback: boolean }

/** Reads `HOST:PORT`, `[v6]:PORT` or `unix:/path`; null when it is none of them. */
export function parseListen(text: string): Listen | null {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    // The kernel takes at most 107 bytes.
    return path === '' || Buffer.byteLength(path) > 107 ? null : { kind: 'unix', path }
  }
  const match = /^(?:\[([^\]\s]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) return null
  const [, v6, name = ''] = match
  if (v6 !== undefined) return isIPv6(v6) ? { kind: 'tcp', host: v6, port, isLoopback: isLoopbackV6(v6) } : null
  // A name such as 1.2.3 or 999.0.0.1 is a mistyped address, not a host.
  if (/^[\d.]+$/.test(name) && !isIPv4(name)) return null
  const isLoopback = name.toLowerCase() === 'localhost' || (isIPv4(name) && name.startsWith('127.'))
  return { kind: 'tcp', host: name, port, isLoopback }
}

/** True when only programs on this machine can connect. */
export function isLocal(listen: Listen): boolean {
  return listen.kind === 'unix' || listen.isLoopback
}

/** Whether a host of some other server is this machine. */
export function isLoopbackHost(host: string): boolean {
  return (
    host.toLowerCase() === 'localhost' ||
    (isIPv4(host) && host.startsWith('127.')) ||
    (isIPv6(host) && isLoopbackV6(host))
  )
}

function isLoopbackV6(address: string): boolean {
  return /^(0*:)*:?0*1$/.test(address) || /^::ffff:127\./i.test(address)
}
