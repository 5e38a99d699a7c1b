/** A running server as `get`, `refresh`, `authorize` and `status` talk to it, and its refusals told with what to do about them. */
import { isJsonObject, type JsonObject } from '../base/json.ts'
import type { Language, Text } from '../base/text.ts'
import type {
  AuthorizeAnswer,
  RecoveryAnswer,
  RefreshAnswer,
  SourceAnswer,
  SourcesAnswer,
  TokenAnswer,
} from '../wire/v1.ts'
import type { Io } from './command.ts'
import { CliFault, usage } from './fault.ts'

const defaultUrl = 'http://127.0.0.1:8888'

/** A part of the accounts under a source is several hundred writes; it is waited for so much longer, in milliseconds. */
const recoverMsMax = 120_000

/** The server answers within its own waits (5 s for a refresh); this is for one that hangs, in milliseconds. */
const answerMsMax = 20_000

export type Remote = {
  readonly url: string
  /** Null when `waitSeconds` passed without a version other than `etag`. */
  readonly token: (name: string, query: TokenQuery) => Promise<{ answer: TokenAnswer; etag: string | null } | null>
  readonly refresh: (name: string, stale: string | undefined) => Promise<RefreshAnswer>
  readonly sources: () => Promise<readonly SourceAnswer[]>
  readonly source: (name: string) => Promise<SourceAnswer>
  /** A link by which a person without a key may authorise the source. */
  readonly authorize: (name: string, device: string | undefined) => Promise<AuthorizeAnswer>
  /** One part of the accounts under a source, from `offset` on. */
  readonly recover: (name: string, offset: number) => Promise<RecoveryAnswer>
}

export type TokenQuery = {
  readonly minTtlSeconds?: number | undefined
  readonly waitSeconds?: number
  readonly etag?: string | null
}

/** The server named by `ZHONGKONG_URL`, asked with the key in `ZHONGKONG_KEY`. */
export function remoteServer(io: Io): Remote {
  const url = serverUrl(io.environment.ZHONGKONG_URL)
  const ask = (path: string, init: RequestInit, waitMs = 0): Promise<Answer> => call(io, `${url}${path}`, init, waitMs)
  const post = (path: string, body: JsonObject, waitMs = 0): Promise<Answer> => {
    const headers = { 'content-type': 'application/json' }
    return ask(path, { method: 'POST', headers, body: JSON.stringify(body) }, waitMs)
  }
  return {
    url,
    token: async (name, query) => {
      const parameters = new URLSearchParams()
      if (query.minTtlSeconds !== undefined) parameters.set('min_ttl', String(query.minTtlSeconds))
      if (query.waitSeconds !== undefined) parameters.set('wait', String(query.waitSeconds))
      const headers = query.etag ? { 'if-none-match': query.etag } : {}
      const path = `/v1/tokens/${encodeURIComponent(name)}${parameters.size > 0 ? `?${parameters}` : ''}`
      const { response, body } = await ask(path, { headers }, (query.waitSeconds ?? 0) * 1_000)
      if (response.status === 304) return null
      if (typeof body.token !== 'string') throw notOurs(url)
      return { answer: body as unknown as TokenAnswer, etag: response.headers.get('etag') }
    },
    refresh: async (name, stale) => {
      const { body } = await post(
        `/v1/tokens/${encodeURIComponent(name)}/refresh`,
        stale === undefined ? {} : { stale },
      )
      if (typeof body.refreshed !== 'boolean') throw notOurs(url)
      return body as unknown as RefreshAnswer
    },
    source: async (name) => {
      const { body } = await ask(`/v1/sources/${encodeURIComponent(name)}`, {})
      if (typeof body.state !== 'string') throw notOurs(url)
      return body as unknown as SourceAnswer
    },
    authorize: async (name, device) => {
      const { body } = await post(
        `/v1/sources/${encodeURIComponent(name)}/authorize`,
        device === undefined ? {} : { device },
      )
      if (typeof body.url !== 'string' || typeof body.expires_in !== 'number') throw notOurs(url)
      return { url: body.url, expires_in: body.expires_in }
    },
    recover: async (name, offset) => {
      const { body } = await post(`/v1/sources/${encodeURIComponent(name)}/recover`, { offset }, recoverMsMax)
      if (!Array.isArray(body.failed) || !(body.next === null || typeof body.next === 'number')) throw notOurs(url)
      return body as unknown as RecoveryAnswer
    },
    sources: async () => {
      const all: SourceAnswer[] = []
      let after: string | null = null
      do {
        const { body } = await ask(`/v1/sources${after === null ? '' : `?after=${encodeURIComponent(after)}`}`, {})
        if (!Array.isArray(body.sources)) throw notOurs(url)
        const page = body as unknown as SourcesAnswer
        all.push(...page.sources)
        // A server that gives the same page for ever must not keep us here for ever.
        after = page.next === after ? null : page.next
      } while (after !== null)
      return all
    },
  }
}

function serverUrl(said: string | undefined): string {
  const text = said === undefined || said === '' ? defaultUrl : said
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw usage(
      {
        en: `ZHONGKONG_URL is "${text}", which is no http(s) address`,
        zh: `ZHONGKONG_URL 的值 "${text}" 不是 http(s) 地址`,
      },
      { en: `Example: ZHONGKONG_URL=${defaultUrl}`, zh: `示例：ZHONGKONG_URL=${defaultUrl}` },
    )
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

type Answer = { readonly response: Response; readonly body: JsonObject }

async function call(io: Io, url: string, init: RequestInit, waitMs: number): Promise<Answer> {
  const key = io.environment.ZHONGKONG_KEY
  const headers = new Headers(init.headers)
  headers.set('accept-language', io.language)
  if (key) headers.set('authorization', `Bearer ${key}`)
  const signal = AbortSignal.any([io.signal, AbortSignal.timeout(answerMsMax + waitMs)])
  let response: Response
  let text: string
  try {
    response = await fetch(url, { ...init, headers, signal, redirect: 'manual' })
    text = await response.text()
  } catch (thrown) {
    io.signal.throwIfAborted()
    throw unreachable(new URL(url).origin, thrown)
  }
  if (response.status === 304) return { response, body: {} }
  const body = parsed(text)
  if (response.ok && body !== null) return { response, body }
  if (response.ok || body === null) throw notOurs(new URL(url).origin, response.status)
  throw refusal(response, body, key)
}

function parsed(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}

function unreachable(origin: string, thrown: unknown): CliFault {
  const isLate = thrown instanceof DOMException && thrown.name === 'TimeoutError'
  const cause: unknown = thrown instanceof Error ? thrown.cause : undefined
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : null
  const seconds = answerMsMax / 1_000
  const late: Text = { en: `no answer within ${seconds} s`, zh: `${seconds} 秒内没有应答` }
  const why = isLate ? late : { en: code ?? 'no answer', zh: code ?? '没有应答' }
  return new CliFault(
    1,
    { en: `cannot reach the server at ${origin} (${why.en})`, zh: `无法连接服务器 ${origin}（${why.zh}）` },
    {
      en: 'Is it running? Start it with "zhongkong serve" (or "zhongkong demo"),\nor name another one: ZHONGKONG_URL=http://HOST:PORT',
      zh: '服务器是否在运行？可执行 zhongkong serve（或 zhongkong demo）启动，\n或用 ZHONGKONG_URL=http://主机:端口 指定其他服务器。',
    },
    thrown,
  )
}

function notOurs(origin: string, status?: number): CliFault {
  return new CliFault(
    1,
    {
      en: `${origin} does not answer as zhongkong does${status === undefined ? '' : ` (HTTP ${status})`}`,
      zh: `${origin} 看来不是 zhongkong 服务器${status === undefined ? '' : `（HTTP ${status}）`}`,
    },
    { en: 'Check ZHONGKONG_URL, and proxies in between.', zh: '请检查 ZHONGKONG_URL，以及中间是否有代理。' },
  )
}

/** What to do about a refusal, where the server's own hint does not say it. */
function advice(status: number, key: string | undefined): Text | null {
  if (status === 401 && !key) {
    return {
      en: 'This server wants a key: ZHONGKONG_KEY=zk_… (make one with "zhongkong key new").',
      zh: '该服务器需要密钥：ZHONGKONG_KEY=zk_…（可用 zhongkong key new 生成）。',
    }
  }
  if (status === 401) {
    return {
      en: 'The key in ZHONGKONG_KEY is not one of this server.',
      zh: 'ZHONGKONG_KEY 中的密钥不属于该服务器。',
    }
  }
  if (status === 403 || status === 404) {
    return {
      en: 'The source may not exist, or this key may not do that: see "clients:" in zhongkong.yaml.',
      zh: '来源可能不存在，或该密钥没有此权限：参见 zhongkong.yaml 中的 clients。',
    }
  }
  return null
}

/** The server's `detail` is English; its `hint` comes in the reader's language, and so leads in Chinese. */
function refusal(response: Response, body: JsonObject, key: string | undefined): CliFault {
  const said = (name: string): string | null => {
    const value = body[name]
    return typeof value === 'string' && value !== '' ? value : null
  }
  const { status, headers } = response
  const detail = said('detail') ?? said('title') ?? `HTTP ${status}`
  const hint = said('hint')
  const code = said('code')
  const theirs = upstreamWords(body)
  const number = `${status}${code === null ? '' : ` ${code}`}`
  const label: Text = {
    en: `${detail}${theirs} (${number})`,
    zh: `${hint?.replace(/。$/, '') ?? detail}${theirs}（${number}）`,
  }
  // What the server says of a missing right is the better advice.
  const advised = status === 403 && hint !== null ? null : advice(status, key)
  const seconds = headers.get('retry-after')
  const again: Text | null =
    seconds === null ? null : { en: `Worth trying again in ${seconds} s.`, zh: `${seconds} 秒后可重试。` }
  const lines = (first: string | null, language: Language): string =>
    [first, advised?.[language] ?? null, again?.[language] ?? null].filter((line) => line !== null).join('\n')
  const fix = { en: lines(hint, 'en'), zh: lines(hint !== null && advised === null ? detail : null, 'zh') }
  return new CliFault(1, label, fix.en === '' ? null : fix)
}

/** The upstream's own words about a failure, in brackets. */
function upstreamWords(body: JsonObject): string {
  const upstream = body.upstream
  if (!isJsonObject(upstream)) return ''
  const words = [upstream.errcode, upstream.errmsg].filter(
    (word) => typeof word === 'string' || typeof word === 'number',
  )
  return words.length === 0 ? '' : ` [${words.join(' ')}]`
}
