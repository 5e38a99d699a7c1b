/**
 * What a Redis URL says: pure parsing, for the configuration and for the store.
 *
 *     redis://[user:password@]host[:6379][/db][?…]            one server; rediss:// with TLS
 *     redis+sentinel://[…@]host[:26379],host2,…/MASTER[/db]   the master that sentinels name; rediss+sentinel:// with TLS
 *     redis+cluster://[…@]host[:6379],host2,…                 a Cluster, found from any of its nodes; rediss+cluster://
 *
 * User and password are those of the servers; sentinels have their own in the options. In them, % is written as %25, and
 * the first colon ends the user. Options after `?`:
 * `prefix` (of all keys; `zhongkong`), `wait` (replicas that must have a write before it counts; 0), `ca` (absolute path
 * of a PEM file with the authority that signed the server's certificate), `sentinel_user`, `sentinel_password`.
 */
import type { Text } from './text.ts'

export type RedisAddress = { readonly host: string; readonly port: number }

export type RedisLogin = { readonly user: string | null; readonly password: string | null }

export type RedisTarget = {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  /** The server, the sentinels, or some nodes of the Cluster. */
  readonly addresses: readonly RedisAddress[]
  /** The name under which sentinels know the master; empty for other kinds. */
  readonly master: string
  readonly database: number
  readonly login: RedisLogin
  readonly sentinelLogin: RedisLogin
  readonly isTls: boolean
  readonly caPath: string | null
  readonly prefix: string
  readonly wait: number
}

/** The parts of a URL, or what is wrong with it in words that repeat nothing of user and password. */
export type ParsedRedisUrl = { readonly target: RedisTarget } | { readonly problem: Text }

const schemePattern = /^redis(s?)(?:\+(sentinel|cluster))?:\/\//i

export function isRedisUrl(text: string): boolean {
  return /^rediss?(?:\+[a-z]+)?:/i.test(text)
}

export function parseRedisUrl(text: string): ParsedRedisUrl {
  try {
    return { target: readTarget(text) }
  } catch (error) {
    if (error instanceof UrlProblem) return { problem: error.text }
    throw error
  }
}

class UrlProblem extends Error {
  readonly text: Text

  constructor(en: string, zh: string) {
    super(en)
    this.text = { en, zh }
  }
}

function readTarget(text: string): RedisTarget {
  const scheme = schemePattern.exec(text)
  if (scheme === null) {
    throw new UrlProblem(
      'it begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://',
      'Redis 地址应以 redis://、rediss://、redis+sentinel:// 或 redis+cluster:// 开头',
    )
  }
  const kind = (scheme[2]?.toLowerCase() ?? 'single') as RedisTarget['kind']
  const rest = text.slice(scheme[0].length)
  // The last one: a password that comes from the environment may hold any sign.
  const at = rest.lastIndexOf('@')
  const login = at < 0 ? nobody : readLogin(rest.slice(0, at))
  const [places, query = ''] = splitOnce(rest.slice(at + 1), '?')
  const [hosts = '', ...path] = places.split('/')
  const addresses = hosts.split(',').map((host) => readAddress(host, kind === 'sentinel' ? 26_379 : 6_379))
  if (kind === 'single' && addresses.length > 1) {
    throw new UrlProblem(
      'redis:// takes one host; for several, write redis+sentinel://HOSTS/MASTER or redis+cluster://HOSTS',
      'redis:// 只能写一个主机；多个主机请用 redis+sentinel://主机列表/主节点名 或 redis+cluster://主机列表',
    )
  }
  const options = readOptions(query)
  if (options.caPath !== null && scheme[1] === '') {
    throw new UrlProblem('the option ca needs TLS: write rediss://', 'ca 选项需要 TLS：请写 rediss://')
  }
  return { kind, addresses, login, isTls: scheme[1] !== '', ...readPath(kind, path), ...options }
}

const nobody: RedisLogin = { user: null, password: null }

function readLogin(text: string): RedisLogin {
  const [user, password] = splitOnce(text, ':')
  return {
    user: user === '' ? null : decode(user),
    password: password === undefined || password === '' ? null : decode(password),
  }
}

function readAddress(text: string, port: number): RedisAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(text)
  const host = match?.[1] ?? match?.[2]
  const number = match?.[3] === undefined ? port : Number(match[3])
  if (host === undefined || number < 1 || number > 65_535) {
    throw new UrlProblem(
      'a host is not understood; write HOST:PORT, several with commas',
      '主机无法识别，请写 主机:端口，多个用逗号分隔',
    )
  }
  return { host, port: number }
}

function readPath(kind: RedisTarget['kind'], path: readonly string[]): { master: string; database: number } {
  const parts = path.filter((part, index) => part !== '' || index < path.length - 1)
  const master = kind === 'sentinel' ? decode(parts.shift() ?? '') : ''
  if (kind === 'sentinel' && master === '') {
    throw new UrlProblem(
      'redis+sentinel:// needs the name of the master after the hosts: redis+sentinel://HOSTS/mymaster',
      'redis+sentinel:// 需要在主机之后写主节点名：redis+sentinel://主机列表/mymaster',
    )
  }
  const [database = '0', ...rest] = parts
  if (!/^\d{1,5}$/.test(database) || rest.length > 0 || (kind === 'cluster' && Number(database) > 0)) {
    throw new UrlProblem(
      'what follows the hosts is the number of a database, and a Cluster has only 0',
      '主机之后应为数据库编号；Cluster 只有 0 号',
    )
  }
  return { master, database: Number(database) }
}

type Options = Pick<RedisTarget, 'prefix' | 'wait' | 'caPath' | 'sentinelLogin'>

function readOptions(query: string): Options {
  const given = new URLSearchParams(query)
  const known = ['prefix', 'wait', 'ca', 'sentinel_user', 'sentinel_password']
  if ([...given.keys()].some((key) => !known.includes(key))) {
    throw new UrlProblem(`it has an option that is none of ${known.join(', ')}`, `可用选项只有 ${known.join('、')}`)
  }
  const prefix = given.get('prefix') ?? 'zhongkong'
  if (!/^[\w.:-]{1,64}$/.test(prefix)) {
    throw new UrlProblem(
      'the option prefix takes 1 to 64 letters, digits, and . : _ -',
      'prefix 选项为 1 到 64 个字母、数字或 . : _ -',
    )
  }
  const wait = given.get('wait') ?? '0'
  if (!/^\d$/.test(wait)) {
    throw new UrlProblem('the option wait takes a number of replicas, 0 to 9', 'wait 选项为副本数量，0 到 9')
  }
  const caPath = given.get('ca')
  if (caPath?.startsWith('/') === false && !/^[a-z]:[\\/]/i.test(caPath)) {
    throw new UrlProblem('the option ca takes an absolute path', 'ca 选项需要绝对路径')
  }
  const sentinelLogin = { user: given.get('sentinel_user'), password: given.get('sentinel_password') }
  return { prefix, wait: Number(wait), caPath, sentinelLogin }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new UrlProblem(
      'a % is not followed by two hex digits; write %25 for the sign itself',
      '% 后面不是两位十六进制数；百分号本身请写 %25',
    )
  }
}

function splitOnce(text: string, separator: string): [string, string?] {
  const index = text.indexOf(separator)
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + separator.length)]
}
