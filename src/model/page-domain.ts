/** Domains whose pages a ticket may sign: `shop.example.com`, `*.example.com`, each perhaps with a port. */

const hostAndPort = /^(\*\.)?([^\s/\\?#@:*%[\]]+)(?::(\d{1,5}))?$/

/**
 * The domain as browsers write it (lower case, punycode), or null when it is none. `*.` stands for any subdomain, and
 * not for the domain itself. Without a port, the usual one of http and https is meant.
 */
export function parsePageDomain(text: string): string | null {
  const [, star = '', host = '', port = ''] = hostAndPort.exec(text.trim()) ?? []
  if (host === '' || !URL.canParse(`https://${host}`)) return null
  const { hostname } = new URL(`https://${host}`)
  const isName = !/^\d+(\.\d+){3}$/.test(hostname)
  if (hostname.endsWith('.') || Number(port) > 65_535) return null
  // A star in front of a top-level domain, or of an address, would be half the world or nothing.
  if (star !== '' && (!isName || !hostname.includes('.'))) return null
  return `${star}${hostname}${port === '' || port === '80' || port === '443' ? '' : `:${Number(port)}`}`
}

/** Whether the host of a URL or an origin (`URL.host`) is one of the parsed domains. */
export function isPageDomain(host: string, domains: readonly string[]): boolean {
  return domains.some((domain) =>
    domain.startsWith('*.') ? host.endsWith(domain.slice(1)) && host.length >= domain.length : host === domain,
  )
}
