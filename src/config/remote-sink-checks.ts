/** Sinks that reach over a network: Redis, webhooks, Kubernetes. */
import { resolve } from 'node:path'
import { parseDuration } from '../base/duration.ts'
import { parseRedisUrl } from '../base/redis-url.ts'
import { Secret } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import { compileGlobs } from '../model/glob.ts'
import { aboveMax, keysAndValues, laidOut, wrongWordInKey, type SinkLayout } from '../model/sink-layout.ts'
import type { KubernetesSinkConfig, RedisSinkConfig, WebhookSinkConfig } from '../model/sink.ts'
import type { Source } from '../model/source.ts'
import { isLoopbackHost } from './listen.ts'
import { problem, warning, type Path, type Problem } from './problem.ts'
import type { WrittenSink } from './schema.ts'
import type { Checked } from './server-checks.ts'

type Around = {
  readonly directory: string
  readonly sources: readonly Source[]
  readonly isTrusted: boolean
}

export function checkRedis(
  sink: Extract<WrittenSink, { kind: 'redis' }>,
  path: Path,
  { sources, isTrusted }: Around,
): Checked<RedisSinkConfig> {
  const problems: Problem[] = []
  const parsed = parseRedisUrl(sink.url)
  if ('problem' in parsed) {
    const message = {
      en: `This Redis cannot be used: ${parsed.problem.en}.`,
      zh: `该 Redis 地址无法使用：${parsed.problem.zh}。`,
    }
    problems.push(problem('value_invalid', { path: [...path, 'url'] }, message))
  } else if (!parsed.target.isTls && !isTrusted && !parsed.target.addresses.every(({ host }) => isLoopbackHost(host))) {
    problems.push(warning('exposed_sink', { path: [...path, 'url'] }, inTheClear, inTheClearFix))
  }
  const layout = layoutOf(sink, path)
  problems.push(...layout.problems)
  if (layout.problems.length === 0) problems.push(...coverage(sink.sources, layout.value, { path, sources }))
  return { value: { kind: 'redis', sources: sink.sources, url: sink.url, layout: layout.value }, problems }
}

function layoutOf(
  { preset, prefix, key, value }: Extract<WrittenSink, { kind: 'redis' }>,
  path: Path,
): Checked<SinkLayout> {
  const wrong = (at: string, message: Text, fix: Text | null = null): Checked<SinkLayout> => ({
    value: { preset: 'wechat-token-server', prefix: null },
    problems: [problem('value_invalid', { path: [...path, at], at: at === 'key' ? 'value' : 'key' }, message, fix)],
  })
  if (preset !== undefined) {
    if (key !== undefined || value !== undefined) return wrong(key === undefined ? 'value' : 'key', both, bothFix)
    if (prefix !== undefined && /[{}\s]/.test(prefix)) return wrong('prefix', badPrefix)
    return { value: { preset, prefix: prefix ?? null }, problems: [] }
  }
  if (prefix !== undefined) return wrong('prefix', loosePrefix, bothFix)
  if (key === undefined) {
    return {
      value: { preset: 'wechat-token-server', prefix: null },
      problems: [problem('key_missing', { path: [...path, 'preset'], at: 'key' }, noLayout, noLayoutFix)],
    }
  }
  const word = wrongWordInKey(key)
  if (key === '' || word !== null) return wrong('key', badKey(word ?? ''), badKeyFix)
  return { value: { preset: null, key, value: value ?? '{token}' }, problems: [] }
}

const anyToken = { token: '', version: 1, issuedAt: 0, expiresAt: 0, fields: {} }

/** Sources that the layout has no key for, and those that would have the same. */
function coverage(
  globs: readonly string[],
  layout: SinkLayout,
  { path, sources }: { readonly path: Path; readonly sources: readonly Source[] },
): Problem[] {
  const where = { path: [...path, 'sources'], at: 'key' } as const
  const byName = new Map(sources.map((source) => [source.name, source]))
  const owners = new Map<string, string>()
  const without: string[] = []
  const matched = sources.filter(({ name }) => compileGlobs(globs)(name))
  for (const source of matched) {
    const entries = keysAndValues(layout, laidOut(source, above(source, byName)), anyToken)
    if (entries.length === 0) without.push(source.name)
    for (const { key } of entries) {
      const owner = owners.get(key)
      if (owner !== undefined) return [problem('value_invalid', where, sameKey(owner, source.name), sameKeyFix)]
      owners.set(key, source.name)
    }
  }
  const found: Problem[] = []
  const isWanted = without.some((name) => globs.includes(name))
  const told = isWanted ? problem : warning
  if (without.length > 0) found.push(told('value_invalid', where, noKey(without), noKeyFix))
  const isAsked = matched.length > 0 && layout.preset === 'wechat-token-server' && layout.prefix === null
  if (isAsked && !owners.has('access_token') && !owners.has('ticket')) {
    found.push(warning('value_invalid', { path: [...path, 'preset'] }, otherNames, otherNamesFix))
  }
  return found
}

/** What a source is asked with, and what that is; circles are told elsewhere. */
function above(source: Source, byName: ReadonlyMap<string, Source>): readonly Source[] {
  const found: Source[] = []
  for (let next = byName.get(source.needs[0] ?? ''); next !== undefined && found.length < aboveMax;) {
    found.push(next)
    next = byName.get(next.needs[0] ?? '')
  }
  return found
}

export function checkWebhook(sink: Extract<WrittenSink, { kind: 'webhook' }>, path: Path): Checked<WebhookSinkConfig> {
  const problems: Problem[] = []
  const tell = (key: string, message: Text, fix: Text | null = null): void => {
    problems.push(problem('value_invalid', { path: [...path, key] }, message, fix))
  }
  const url = httpUrl(sink.url)
  if (url === null) tell('url', badUrl, badUrlFix)
  else if (sink.include_token && url.protocol === 'http:' && !isLoopbackHost(bare(url.hostname))) {
    problems.push(problem('exposed_sink', { path: [...path, 'url'] }, tokenInTheClear, tokenInTheClearFix))
  }
  if (sink.secret === '') tell('secret', emptySecret, secretFix)
  else if (sink.secret.length < 16) {
    problems.push(warning('secret_short', { path: [...path, 'secret'] }, shortSecret, secretFix))
  }
  const timeoutMs = parseDuration(sink.timeout)
  if (timeoutMs === null || timeoutMs < 100 || timeoutMs > 60_000) tell('timeout', badTimeout)
  const value: WebhookSinkConfig = {
    kind: 'webhook',
    sources: sink.sources,
    url: sink.url,
    secret: new Secret(sink.secret),
    includesToken: sink.include_token,
    timeoutMs: timeoutMs ?? 10_000,
  }
  return { value, problems }
}

export function checkKubernetes(
  sink: Extract<WrittenSink, { kind: 'kubernetes' }>,
  path: Path,
  { directory }: Around,
): Checked<KubernetesSinkConfig> {
  const problems: Problem[] = []
  const tell = (key: string, message: Text, fix: Text | null = null): void => {
    problems.push(problem('value_invalid', { path: [...path, key] }, message, fix))
  }
  const url = httpUrl(sink.server)
  if (url === null) tell('server', badUrl, badUrlFix)
  else if (url.protocol === 'http:' && !isLoopbackHost(bare(url.hostname))) {
    problems.push(problem('exposed_sink', { path: [...path, 'server'] }, tokenInTheClear, tokenInTheClearFix))
  }
  const isForOne = sink.sources.length === 1 && sink.sources[0]?.includes('*') === false
  if (!sink.secret_name.includes('{name}') && !isForOne) tell('secret_name', oneSecret, oneSecretFix)
  const named = sink.secret_name.replaceAll('{name}', 'a')
  if (!/^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(named)) tell('secret_name', badSecretName)
  if (sink.namespace !== undefined && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(sink.namespace)) {
    tell('namespace', badNamespace)
  }
  const tokenFile = resolve(directory, sink.token_file)
  const value: KubernetesSinkConfig = {
    kind: 'kubernetes',
    sources: sink.sources,
    secretName: sink.secret_name,
    ...(sink.namespace === undefined ? {} : { namespace: sink.namespace }),
    server: sink.server,
    tokenFile,
    caFile: resolve(directory, sink.ca_file),
    // Where the cluster puts all three.
    namespaceFile: resolve(tokenFile, '../namespace'),
  }
  return { value, problems }
}

/** Null for what is no address, or holds a user and password, which no request may carry in its address. */
function httpUrl(text: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  return url !== null && isHttp && url.username === '' && url.password === '' && url.hash === '' ? url : null
}

/** `[::1]` as `::1`. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}

const inTheClear = {
  en: 'Tokens would cross the network unencrypted.',
  zh: '令牌会以明文经过网络。',
}
const inTheClearFix = {
  en: 'Write rediss:// (TLS); or, in a network you trust, server.trusted_network: true.',
  zh: '请改用 rediss://（TLS）；在可信内网可设置 server.trusted_network: true。',
}
const both = { en: 'A preset has its own keys and values.', zh: '预设已经规定了键和值。' }
const bothFix = {
  en: 'Write either preset (with prefix), or key and value.',
  zh: '要么写 preset（可加 prefix），要么写 key 与 value。',
}
const loosePrefix = { en: 'prefix belongs to a preset.', zh: 'prefix 只能与 preset 一起使用。' }
const badPrefix = { en: 'A prefix has no braces and no spaces.', zh: 'prefix 不能含有花括号或空白。' }
const noLayout = { en: 'It is not said under which keys to write.', zh: '没有说明要写入哪些键。' }
const noLayoutFix = {
  en: 'Add preset: wxjava (or another), or key: "token:{name}".',
  zh: '请加上 preset: wxjava（或其他预设），或 key: "token:{name}"。',
}
const badKey = (word: string): Text => ({
  en: word === '' ? 'The key is empty.' : `"${word}" cannot stand in a key.`,
  zh: word === '' ? '键为空。' : `键中不能出现 "${word}"。`,
})
const badKeyFix = {
  en: 'A key may hold {name}, {account} (appid or corpid) and {type} (of a ticket), and no other braces.',
  zh: '键中可用 {name}、{account}（appid 或 corpid）、{type}（票据类型），不能有其他花括号。',
}
const sameKey = (one: string, other: string): Text => ({
  en: `The sources "${one}" and "${other}" would be written under the same key.`,
  zh: `来源 "${one}" 与 "${other}" 会写入同一个键。`,
})
const sameKeyFix = {
  en: 'Name only one of them here, or write a sink for each, with another prefix or key.',
  zh: '此处只写其中一个，或分成两个 sink 并使用不同的 prefix 或 key。',
}
const shownNames = (names: readonly string[]): string =>
  `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`
const noKey = (names: readonly string[]): Text => ({
  en: `This layout has no key for: ${shownNames(names)}.`,
  zh: `该布局没有为以下来源规定键：${shownNames(names)}。`,
})
const noKeyFix = {
  en: 'Leave them out of sources, or write them by a sink with key and value.',
  zh: '请从 sources 中去掉，或另写一个带 key 与 value 的 sink。',
}
const otherNames = {
  en: 'Programs that read this layout look for access_token and ticket, and no source here is called so.',
  zh: '使用此布局的程序读取 access_token 和 ticket，而这里没有这样命名的来源。',
}
const otherNamesFix = {
  en: 'Instead of preset, write a sink for each: key: access_token, sources: [NAME].',
  zh: '请不用 preset，而是为每个来源写一个 sink：key: access_token, sources: [来源名称]。',
}
const badUrl = {
  en: 'This is no address of a receiver, or it holds a password.',
  zh: '这不是接收方地址，或其中带有密码。',
}
const badUrlFix = { en: 'Write https://HOST/PATH.', zh: '写成 https://主机/路径。' }
const tokenInTheClear = {
  en: 'A token would cross the network unencrypted.',
  zh: '令牌会以明文经过网络。',
}
const tokenInTheClearFix = {
  en: 'Write https://, or leave the token out.',
  zh: '请改用 https://，或不发送令牌。',
}
const emptySecret = { en: 'The secret is empty: anybody could sign.', zh: 'secret 为空：任何人都能伪造签名。' }
const shortSecret = {
  en: 'The secret is shorter than 16 characters: it can be guessed.',
  zh: 'secret 不足 16 个字符，容易被猜到。',
}
const secretFix = { en: 'Take a random one: openssl rand -hex 32', zh: '请使用随机值：openssl rand -hex 32' }
const badTimeout = {
  en: 'This is no duration between 100 ms and 60 s, such as 10s.',
  zh: '时长应在 0.1 秒到 60 秒之间，例如 10s。',
}
const oneSecret = { en: 'Several sources would be kept in the same Secret.', zh: '多个来源会写入同一个 Secret。' }
const oneSecretFix = { en: 'Put {name} into secret_name.', zh: '请在 secret_name 中加入 {name}。' }
const badSecretName = {
  en: 'A Secret is named with small letters, digits, dots and dashes.',
  zh: 'Secret 的名称只能用小写字母、数字、点和短横线。',
}
const badNamespace = {
  en: 'A namespace is named with small letters, digits and dashes.',
  zh: '命名空间只能用小写字母、数字和短横线。',
}
