/** Clients and the surfaces of older systems: keys, globs, networks, secrets. */
import { isIP } from 'node:net'
import { isJsonObject, type JsonObject } from '../base/json.ts'
import { Secret } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import type { ClientGrant } from '../model/client.ts'
import { compileGlobs } from '../model/glob.ts'
import type { CallRules } from '../model/source.ts'
import type { Config } from './config.ts'
import { checkExpiry } from './expiry-checks.ts'
import { problem, warning, type Path, type Problem } from './problem.ts'
import type { WrittenConfig } from './schema.ts'
import type { Checked } from './server-checks.ts'

const clientName = /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/

/** `raw` is what the file says, broken parts included. */
export function checkClients(
  written: WrittenConfig,
  raw: JsonObject,
  sourceNames: readonly string[],
): Checked<readonly ClientGrant[]> {
  const problems: Problem[] = []
  const owners = new Map<string, string>()
  const grants = Object.entries(written.clients).map(([name, client]) => {
    const { key, read, refresh, gateway: passing, admin, expiry } = client
    const { sources: gateway, calls } = callsOf(passing)
    const path = ['clients', name]
    if (!clientName.test(name)) problems.push(problem('value_invalid', { path, at: 'key' }, badName))
    const keyHash = /^sha256:([0-9a-f]{64})$/i.exec(key)?.[1]?.toLowerCase()
    const owner = owners.get(keyHash ?? '')
    if (keyHash === undefined) {
      problems.push(problem('value_invalid', { path: [...path, 'key'] }, badKey, keyFix))
    } else if (owner !== undefined) {
      const message = { en: `The client "${owner}" has the same key.`, zh: `客户端 "${owner}" 使用了同一个密钥。` }
      problems.push(problem('client_key_shared', { path: [...path, 'key'] }, message, sharedFix))
    } else {
      owners.set(keyHash, name)
    }
    const lists = Object.entries({ read, refresh, [Array.isArray(passing) ? 'gateway' : 'gateway.sources']: gateway })
    problems.push(
      ...lists.flatMap(([list, globs]) => unmatchedGlobs(globs, [...path, ...list.split('.')], sourceNames)),
    )
    const said = isJsonObject(raw.clients) ? raw.clients[name] : null
    const saysNothing = isJsonObject(said) && ['read', 'refresh', 'gateway'].every((list) => said[list] === undefined)
    if (!admin && saysNothing) {
      problems.push(warning('value_invalid', { path, at: 'key' }, mayNothing, mayFix))
    }
    const told = checkExpiry(expiry, [...path, 'expiry'])
    problems.push(...told.problems)
    const more = { ...(told.value === null ? {} : { expiry: told.value }), ...(calls === undefined ? {} : { calls }) }
    return { name, keyHash: keyHash ?? '', read, refresh, gateway, admin, ...more }
  })
  return { value: grants, problems }
}

type Passing = WrittenConfig['clients'][string]['gateway']

function callsOf(written: Passing): { readonly sources: readonly string[]; readonly calls?: CallRules } {
  if (Array.isArray(written)) return { sources: written }
  const { sources, allow, deny, per_second } = written
  return { sources, calls: { allow: allow ?? null, deny, perSecond: per_second ?? null } }
}

/** A warning for each glob that names no source of the file: a typing slip, most likely. */
export function unmatchedGlobs(globs: readonly string[], path: Path, sourceNames: readonly string[]): Problem[] {
  return globs.flatMap((glob, index) => {
    if (glob === '*' || sourceNames.some(compileGlobs([glob]))) return []
    const message = { en: `"${glob}" matches no source of this file.`, zh: `"${glob}" 没有匹配到本文件中的任何来源。` }
    return [warning('glob_without_match', { path: [...path, index] }, message, globFix)]
  })
}

export function checkCompat(written: WrittenConfig, isLocal: boolean): Checked<Config['compat']> {
  const { tokenboy, wechat_token_server: server } = written.compat
  const told = checkExpiry(written.compat.expiry, ['compat', 'expiry'])
  const problems: Problem[] = [...told.problems]
  const ranges = typeof tokenboy === 'object' ? tokenboy.allow : []
  const allow = ranges.map((range, index) => {
    const cidr = asCidr(range)
    if (cidr === null)
      problems.push(problem('value_invalid', { path: ['compat', 'tokenboy', 'allow', index] }, badCidr, cidrFix))
    return cidr ?? range
  })
  const shortest = 8
  if (server !== undefined && server.secret.length < shortest) {
    const where = { path: ['compat', 'wechat_token_server', 'secret'] }
    const message = server.secret === '' ? emptySecret : shortSecret
    problems.push(
      isLocal
        ? warning('secret_short', where, message, secretFix)
        : problem('exposed_secret', where, message, secretFix),
    )
  }
  return {
    value: {
      tokenboy: tokenboy === false ? null : { allow },
      wechatTokenServer: server === undefined ? null : { secret: new Secret(server.secret) },
      ...(told.value === null ? {} : { expiry: told.value }),
    },
    problems,
  }
}

/** An address range in CIDR form; a bare address is a range of one. */
export function asCidr(text: string): string | null {
  const match = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text.trim())
  const address = match?.[1] ?? ''
  const family = isIP(address)
  const bitsMax = family === 6 ? 128 : 32
  const bits = match?.[2] === undefined ? bitsMax : Number(match[2])
  return family === 0 || bits > bitsMax ? null : `${address}/${bits}`
}

const badName: Text = {
  en: 'A client is named with letters, digits and _ . @ - (64 at most).',
  zh: '客户端名称只能用字母、数字和 _ . @ -（最多 64 个字符）。',
}
const badKey: Text = {
  en: 'This is no hash of an API key; it must be "sha256:" and 64 hex digits.',
  zh: '这不是 API 密钥的哈希；应为 "sha256:" 加 64 位十六进制数字。',
}
const keyFix: Text = {
  en: '"zhongkong key new NAME" makes a key; "zhongkong key hash" gives the hash of one you have.',
  zh: '"zhongkong key new 名称" 可生成密钥；"zhongkong key hash" 可计算已有密钥的哈希。',
}
const sharedFix: Text = { en: 'Give each client its own key.', zh: '请给每个客户端单独的密钥。' }
const mayNothing: Text = { en: 'This client may do nothing.', zh: '该客户端没有任何权限。' }
const mayFix: Text = { en: 'Add read: [NAME, …].', zh: '请添加 read: [来源名称, …]。' }
const globFix: Text = {
  en: 'Mend the name, unless the source will be added while running.',
  zh: '请修正名称；若该来源会在运行时添加，可忽略。',
}
const badCidr: Text = { en: 'This is no address range.', zh: '这不是网段。' }
const cidrFix: Text = { en: 'Write it as 10.0.0.0/8 or fd00::/8.', zh: '写成 10.0.0.0/8 或 fd00::/8。' }
const emptySecret: Text = {
  en: 'The secret is empty: no caller is told from another.',
  zh: 'secret 为空：无法区分调用方。',
}
const shortSecret: Text = {
  en: 'The secret is shorter than 8 characters: it can be guessed.',
  zh: 'secret 不足 8 个字符，容易被猜到。',
}
const secretFix: Text = {
  en: 'Take a long random one (openssl rand -hex 16) and give it to the clients.',
  zh: '请换成较长的随机值（openssl rand -hex 16），并更新各客户端。',
}
