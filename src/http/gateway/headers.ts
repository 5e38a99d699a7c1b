/** Which headers go on, in both directions. Lists are name after value, as they came; what goes on keeps order and case. */

/** They belong to one connection (RFC 9110, section 7.6.1), or to how one message was framed. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]

/** What callers prove themselves with here, and what says where they are: none of it is the upstream's business. */
const callersOwn = [
  'host',
  'expect',
  'authorization',
  'cookie',
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  // By these, some servers take a call for one to another path than the rules were held against.
  'x-original-url',
  'x-rewrite-url',
  'zhongkong-via',
]

/** What speaks about the upstream's host, and would be taken for ours. */
const hostsOwn = ['alt-svc', 'strict-transport-security', 'public-key-pins', 'clear-site-data']

const dropped = { request: new Set([...hopByHop, ...callersOwn]), answer: new Set([...hopByHop, ...hostsOwn]) }

/** Codings that `readAnswer` can undo; an answer in another one could not be looked at. */
const codings = /^(?:gzip|x-gzip|deflate|br|identity|\*)$/i

/** The headers of a request that go on, without those in `besides` (lower case). */
export function requestHeaders(headers: readonly string[], besides: ReadonlySet<string>): string[] {
  return kept(headers, (name) => !dropped.request.has(name) && !besides.has(name)).map((each, at, all) =>
    at % 2 === 1 && all[at - 1]?.toLowerCase() === 'accept-encoding' ? readable(each) : each,
  )
}

type Answered = { readonly status: number; readonly headers: readonly string[] }

/** The headers of an answer that go on. `hide` is taken out of them, as a redirect may repeat the whole address. */
export function answerHeaders({ status, headers }: Answered, hide: { token: string; shown: string }): string[] {
  // A part that is always written as it is tells cheaply where the token cannot be.
  const [part = ''] = /[A-Za-z0-9]+/.exec(hide.token) ?? []
  // A 204 must not have a length, and a caller that believed one would wait for what never comes.
  const goesOn = (name: string): boolean => !dropped.answer.has(name) && !(status === 204 && name === 'content-length')
  return kept(headers, goesOn).map((each, at) => {
    if (at % 2 === 0 || !each.includes(part)) return each
    return each.replace(formsOf(hide.token), (found) =>
      found === hide.token ? hide.shown : encodeURIComponent(hide.shown),
    )
  })
}

/** A token as it may stand in an address: each of its signs as it is or escaped, in either letter case, once or more. */
function formsOf(token: string): RegExp {
  const signs = token.replace(/[^A-Za-z0-9]/g, (sign) => {
    const hex = sign.charCodeAt(0).toString(16).padStart(2, '0')
    const escape = hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
    return `(?:\\u{${hex}}|%(?:25)*${escape})`
  })
  return new RegExp(signs, 'gu')
}

function kept(headers: readonly string[], goesOn: (name: string) => boolean): string[] {
  const named = connectionNames(headers)
  const list: string[] = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const lower = name.toLowerCase()
    if (goesOn(lower) && !named.has(lower)) list.push(name, headers[at + 1] ?? '')
  }
  return list
}

/** Headers that `Connection` names are of this connection only. It cannot take away what a message means. */
function connectionNames(headers: readonly string[]): ReadonlySet<string> {
  const names = valuesOf(headers, 'connection').flatMap((value) => value.toLowerCase().split(','))
  return new Set(names.map((name) => name.trim()).filter((name) => !endToEnd.has(name)))
}

const endToEnd = new Set(['content-type', 'content-length', 'content-encoding', 'accept-encoding'])

/** All values of a header. */
export function valuesOf(headers: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (headers[at]?.length === name.length && headers[at]?.toLowerCase() === name) values.push(headers[at + 1] ?? '')
  }
  return values
}

/** The first value of a header; null without one. */
export function headerOf(headers: readonly string[], name: string): string | null {
  return valuesOf(headers, name)[0] ?? null
}

function readable(accepted: string): string {
  const list = accepted.split(',').map((each) => each.trim())
  const left = list.filter((each) => codings.test(each.split(';', 1)[0]?.trim() ?? ''))
  if (left.length === list.length) return accepted
  return left.length === 0 ? 'identity' : left.join(', ')
}
