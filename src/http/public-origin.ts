/**
 * The address of this server as people's browsers know it. A Host header is what somebody else says, and an address made
 * of it goes to platforms and into links: so only names that can mean nothing but this server are taken from it.
 */
import { ZhongkongError } from '../base/errors.ts'
import { hostName, isLoopback } from './address.ts'
import type { Visit } from './surface.ts'

/** Scheme, host, port and a path in front, without a slash at the end. Throws `bad_request` when nobody has said it. */
export function publicOrigin({ house, url, credentials }: Pick<Visit, 'house' | 'url' | 'credentials'>): string {
  if (house.publicUrl !== null) return house.publicUrl
  const { host, isForwarded } = credentials
  const name = host === null ? null : hostName(host)
  const isOwn = name !== null && (isHere(name) || house.hosts.has(name))
  if (host !== null && isOwn && !isForwarded) return `${url.protocol}//${host}`
  throw new ZhongkongError('bad_request', 'nobody has told this server its public address', {
    hint: {
      en: 'Set `server.public_url` to the address by which browsers reach this server, such as https://tokens.example.com.',
      zh: '请将 `server.public_url` 设为浏览器访问本服务器的地址，例如 https://tokens.example.com。',
    },
  })
}

function isHere(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isLoopback(name)
}
