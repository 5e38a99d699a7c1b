/**
 * The URL of a shared SQL database, as `store` has it:
 * `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?sslmode=…` and the same with `mysql:`. Several hosts are one
 * database and its copies, of which the writable one is used. Parts may be percent-encoded; a host that begins with `/`
 * (written `%2F`) is the folder of a Unix socket, for MySQL the socket itself.
 */
import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import type { Text } from './text.ts'

export type DatabaseHost = { readonly host: string; readonly port: number }

/**
 * - `disable`: no TLS. `require`: TLS with whoever answers. `verify-ca`: the certificate must be signed by a known
 *   authority. `verify-full`: and it must be the host's own.
 */
export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full'

export type DatabaseUrl = {
  readonly kind: 'postgres' | 'mysql'
  readonly hosts: readonly [DatabaseHost, ...DatabaseHost[]]
  readonly user: string | null
  readonly password: string | null
  readonly database: string
  readonly tls: TlsMode
  /** The file with the authorities to trust instead of the system's: an absolute path. */
  readonly tlsRootFile: string | null
  /**
   * PostgreSQL only: where notices of changes are heard. A URL for when the first one leads to a connection pooler, and
   * null for nowhere: then changes are only polled for.
   */
  readonly listen: 'here' | DatabaseUrl | null
}

export type DatabaseUrlAnswer =
  { readonly ok: true; readonly url: DatabaseUrl } | { readonly ok: false; readonly why: Text }

const schemes: Readonly<Record<string, { readonly kind: DatabaseUrl['kind']; readonly port: number }>> = {
  postgres: { kind: 'postgres', port: 5432 },
  postgresql: { kind: 'postgres', port: 5432 },
  mysql: { kind: 'mysql', port: 3306 },
  mariadb: { kind: 'mysql', port: 3306 },
}

/** Scheme, user with password, hosts, database, parameters. The last `@` ends the password, so that it may hold others. */
const shape = /^([a-z]+):\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i

/** Does `text` begin like such a URL? */
export function isDatabaseUrl(text: string): boolean {
  return schemes[/^([a-z]+):/i.exec(text)?.[1]?.toLowerCase() ?? ''] !== undefined
}

/** Reads the URL. What is wrong with it is told without repeating it, as it may hold a password. */
export function parseDatabaseUrl(text: string): DatabaseUrlAnswer {
  try {
    return { ok: true, url: parse(text) }
  } catch (error) {
    if (error instanceof Wrong) return { ok: false, why: error.why }
    throw error
  }
}

class Wrong extends Error {
  readonly why: Text
  constructor(en: string, zh: string) {
    super(en)
    this.why = { en, zh }
  }
}

function parse(text: string): DatabaseUrl {
  const [, scheme = '', login, authority = '', path = '', query = ''] = shape.exec(text) ?? []
  const known = schemes[scheme.toLowerCase()]
  if (known === undefined) {
    throw new Wrong(
      'write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE or mysql://USER:PASSWORD@HOST:PORT/DATABASE',
      '请写成 postgres://用户:密码@主机:端口/数据库 或 mysql://用户:密码@主机:端口/数据库',
    )
  }
  const colon = login?.indexOf(':') ?? -1
  const user = login === undefined ? '' : decoded(colon === -1 ? login : login.slice(0, colon))
  const hosts = authority.split(',').map((one) => parseHost(one, known.port))
  const [first, ...others] = hosts
  const database = decoded(path)
  const parameters = parseParameters(known.kind, query, hosts)
  // The driver of MySQL would compare the certificate of an address with "localhost".
  if (known.kind === 'mysql' && parameters.tls === 'verify-full' && hosts.some(({ host }) => isIP(host) !== 0)) {
    throw new Wrong(
      'the certificate of a bare address cannot be checked with MySQL: name the host, or add sslmode=verify-ca or disable',
      'MySQL 无法校验 IP 地址的证书：请使用主机名，或加上 sslmode=verify-ca 或 disable',
    )
  }
  if (first === undefined || database === '' || database.includes('/')) {
    throw new Wrong('it must name one database after the host: …/DATABASE', '主机之后必须写明一个数据库：…/数据库')
  }
  return {
    kind: known.kind,
    hosts: [first, ...others],
    user: user === '' ? null : user,
    password: login === undefined || colon === -1 ? null : decoded(login.slice(colon + 1)),
    database,
    ...parameters,
  }
}

function parseHost(text: string, defaultPort: number): DatabaseHost {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = bracketed ?? decoded(plain ?? '')
  const port = digits === undefined ? defaultPort : Number(digits)
  if (host === '' || port < 1 || port > 65_535) {
    throw new Wrong(
      'it must name a host, or several with commas between them: HOST:PORT,HOST:PORT',
      '必须写明主机；多个主机用逗号分隔：主机:端口,主机:端口',
    )
  }
  return { host, port }
}

type Parameters = Pick<DatabaseUrl, 'tls' | 'tlsRootFile' | 'listen'>

function parseParameters(kind: DatabaseUrl['kind'], query: string, hosts: readonly DatabaseHost[]): Parameters {
  const parameters = new URLSearchParams(query)
  const known = kind === 'postgres' ? ['sslmode', 'sslrootcert', 'listen'] : ['sslmode', 'sslrootcert']
  const unknown = [...parameters.keys()].find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw new Wrong(
      `the parameter ${JSON.stringify(unknown)} is not known; there are ${known.join(', ')}`,
      `不认识参数 ${JSON.stringify(unknown)}；可用的有 ${known.join('、')}`,
    )
  }
  const tlsRootFile = parameters.get('sslrootcert')
  if (tlsRootFile !== null && !isAbsolute(tlsRootFile)) {
    throw new Wrong('sslrootcert must be the absolute path of a PEM file', 'sslrootcert 必须是 PEM 文件的绝对路径')
  }
  return {
    tls: parseTlsMode(parameters.get('sslmode'), { isVerified: tlsRootFile !== null, hosts }),
    tlsRootFile,
    listen: parseListen(parameters.get('listen')),
  }
}

/** Without a word about it, whoever is not on this machine must prove who they are. */
function parseTlsMode(
  text: string | null,
  given: { readonly isVerified: boolean; readonly hosts: readonly DatabaseHost[] },
): TlsMode {
  switch (text) {
    case null:
      return given.hosts.every(({ host }) => isHere(host)) && !given.isVerified ? 'disable' : 'verify-full'
    case 'require':
      // As libpq has it: whoever names an authority wants it asked.
      return given.isVerified ? 'verify-ca' : 'require'
    case 'disable':
    case 'verify-ca':
    case 'verify-full':
      return text
    default:
      throw new Wrong(
        'sslmode must be disable, require, verify-ca or verify-full',
        'sslmode 只能是 disable、require、verify-ca 或 verify-full',
      )
  }
}

function parseListen(text: string | null): DatabaseUrl['listen'] {
  if (text === null) return 'here'
  if (text === 'off') return null
  const url = parse(text)
  if (url.kind === 'postgres' && url.listen === 'here') return url
  throw new Wrong('listen must be off, or a postgres:// URL of its own', 'listen 只能是 off 或另一个 postgres:// 地址')
}

/** A Unix socket, or an address of this machine only. */
function isHere(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Wrong(
      'a % must be followed by two hex digits; write the sign itself as %25',
      '% 之后必须是两位十六进制数字；百分号本身请写成 %25',
    )
  }
}
