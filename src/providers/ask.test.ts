import { describe, expect, it } from 'vitest'
import { askScripted, broken, gist, json, type Script } from '../../test/providers/scripted.ts'
import { manualClock, noon } from '../../test/simulator/stage.ts'

const classic = { provider: 'wechat', appid: 'wx1', secret: 'canary-secret', mode: 'classic' }
const good = { access_token: 'T1', expires_in: 7200 }
const page = '<html><body>Log in to the Wi-Fi, canary-secret</body></html>'

const stream = (...chunks: (string | Error)[]): ReadableStream<Uint8Array> => {
  let next = 0
  return new ReadableStream({
    pull: (controller) => {
      const chunk = chunks[next]
      next += 1
      if (chunk === undefined) controller.close()
      else if (chunk instanceof Error) controller.error(chunk)
      else controller.enqueue(new TextEncoder().encode(chunk))
    },
  })
}

const nested = (depth: number): string =>
  `{"access_token":"T1","expires_in":7200,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
const throwing =
  (thrown: Error): Script =>
  () => {
    throw thrown
  }

const outcomes: readonly (readonly [string, Script, string])[] = [
  ['a good answer is issued', () => json(good), 'issued 7200000'],
  [
    'the content type does not matter',
    () => json(good, { headers: { 'content-type': 'text/plain' } }),
    'issued 7200000',
  ],
  ['a byte order mark is tolerated', () => json(`\ufeff${JSON.stringify(good)}`), 'issued 7200000'],
  ['errcode 0 and "0" are no errors', () => json({ errcode: '0', errmsg: 'ok', ...good }), 'issued 7200000'],
  [
    'the body decides, not HTTP 200',
    () => json({ errcode: 40125, errmsg: 'bad' }),
    'rejected configuration upstream_rejected',
  ],
  [
    'the body decides, not HTTP 400',
    () => json({ errcode: -1 }, { status: 400 }),
    'rejected transient upstream_rejected',
  ],
  [
    'an errcode beside a token wins',
    () => json({ errcode: 40001, ...good }),
    'rejected configuration upstream_rejected',
  ],
  ['a page with HTTP 200 may hide an issue', () => new Response(page), 'unknown upstream_not_json'],
  ['an empty answer may hide an issue', () => new Response(''), 'unknown upstream_not_json'],
  ['no body at all may hide an issue', () => new Response(null, { status: 204 }), 'unknown upstream_not_json'],
  ['a list is no answer', () => json([good]), 'unknown upstream_not_json'],
  ['null is no answer', () => json('null'), 'unknown upstream_not_json'],
  ['a truncated answer may hide an issue', () => json('{"access_token":"T1","expi'), 'unknown upstream_not_json'],
  [
    'an answer cut in the middle may hide an issue',
    () => new Response(stream('{"access_', broken('ECONNRESET'))),
    'unknown upstream_cut',
  ],
  [
    'a body of 64 KiB is read',
    () => json(`${' '.repeat(65_536 - 40)}{"access_token":"T1","expires_in":7200}`.slice(0, 65_536)),
    'issued 7200000',
  ],
  ['a body above 64 KiB is not', () => json(' '.repeat(65_537)), 'unknown upstream_too_large'],
  ['depth 15 is read', () => json(nested(15)), 'issued 7200000'],
  ['depth 16 below the object is not', () => json(nested(16)), 'unknown upstream_not_json'],
  ['a very deep answer does no harm', () => json(nested(20_000)), 'unknown upstream_not_json'],
  [
    'of duplicate keys the last one counts',
    () => json('{"access_token":"T0","access_token":"T1","expires_in":7200}'),
    'issued 7200000',
  ],
  [
    'a token in __proto__ is none',
    () => json('{"__proto__":{"access_token":"T1"},"expires_in":7200}'),
    'unknown token_unusable',
  ],
  [
    'a redirect is not followed',
    () => new Response('', { status: 302, headers: { location: 'https://evil/' } }),
    'rejected configuration unexpected_redirect',
  ],
  ['a permanent one neither', () => new Response('', { status: 308 }), 'rejected configuration unexpected_redirect'],
  ['HTTP 500 may hide an issue', () => new Response('', { status: 500 }), 'unknown upstream_status'],
  ['HTTP 502 may hide an issue, JSON or not', () => json({ errcode: 1 }, { status: 502 }), 'unknown upstream_status'],
  [
    'HTTP 503 may hide an issue',
    () => new Response(page, { status: 503, headers: { 'retry-after': '9' } }),
    'unknown upstream_status',
  ],
  ['HTTP 408 may hide an issue', () => new Response('', { status: 408 }), 'unknown upstream_status'],
  [
    'HTTP 401 without words is a refusal',
    () => new Response('', { status: 401 }),
    'rejected configuration upstream_status',
  ],
  [
    'HTTP 403 with a page is a refusal',
    () => new Response(page, { status: 403 }),
    'rejected permission upstream_status',
  ],
  [
    'HTTP 404 with a page is a refusal',
    () => new Response(page, { status: 404 }),
    'rejected configuration upstream_status',
  ],
  ['HTTP 400 with a token contradicts itself', () => json(good, { status: 400 }), 'unknown upstream_status'],
  ['HTTP 429 is a refusal', () => new Response('', { status: 429 }), 'rejected transient upstream_busy'],
  [
    'Retry-After in seconds is obeyed',
    () => new Response('', { status: 429, headers: { 'retry-after': '17' } }),
    'rejected quota upstream_busy 17000',
  ],
  [
    'Retry-After as a date is obeyed',
    () => new Response('', { status: 429, headers: { 'retry-after': new Date(noon + 90_000).toUTCString() } }),
    'rejected quota upstream_busy 90000',
  ],
  [
    'Retry-After of ten years is one hour',
    () => new Response('', { status: 429, headers: { 'retry-after': '315360000' } }),
    'rejected quota upstream_busy 3600000',
  ],
  [
    'Retry-After of 0 is one second',
    () => new Response('', { status: 429, headers: { 'retry-after': '0' } }),
    'rejected quota upstream_busy 1000',
  ],
  [
    'Retry-After in the past is one second',
    () => new Response('', { status: 429, headers: { 'retry-after': 'Mon, 02 Mar 2020 04:00:00 GMT' } }),
    'rejected quota upstream_busy 1000',
  ],
  [
    'Retry-After that makes no sense is ignored',
    () => new Response('', { status: 429, headers: { 'retry-after': '-5 apples' } }),
    'rejected transient upstream_busy',
  ],
  ...[
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EAI_FAIL',
    'EHOSTUNREACH',
    'EHOSTDOWN',
    'ENETUNREACH',
    'ENETDOWN',
    'EADDRNOTAVAIL',
    'EMFILE',
    'UND_ERR_CONNECT_TIMEOUT',
    'UND_ERR_INVALID_ARG',
    'ERR_SOCKET_CONNECTION_TIMEOUT',
  ].map((code) => [`${code} sent nothing`, throwing(broken(code)), 'not-sent upstream_unreachable'] as const),
  ...['EACCES', 'EPERM', 'EINVAL', 'ECONNABORTED', 'ECONNREFUSED', 'EHOSTUNREACH'].map(
    (code) =>
      [
        `${code} at connect sent nothing`,
        throwing(broken(code, { syscall: 'connect' })),
        'not-sent upstream_unreachable',
      ] as const,
  ),
  ...['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EPROTO'].map(
    (code) =>
      [
        `${code} while reading may have sent everything`,
        throwing(broken(code, { syscall: 'read' })),
        'unknown upstream_cut',
      ] as const,
  ),
  [
    'EHOSTUNREACH while writing may have sent a part',
    throwing(broken('EHOSTUNREACH', { syscall: 'write' })),
    'unknown upstream_cut',
  ],
  [
    'EPROTO while writing is OpenSSL that refuses to',
    throwing(broken('EPROTO', { syscall: 'write' })),
    'not-sent upstream_tls',
  ],
  ...[
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_REVOKED',
    'CERT_UNTRUSTED',
    'CERT_SIGNATURE_FAILURE',
    'CERT_CHAIN_TOO_LONG',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'PATH_LENGTH_EXCEEDED',
  ].map((code) => [`${code} sent nothing`, throwing(broken(code)), 'not-sent upstream_tls'] as const),
  ...[
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'UND_ERR_SOCKET',
    'UND_ERR_BODY_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
    'UND_ERR_DESTROYED',
    'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR',
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    'HPE_INVALID_CONSTANT',
  ].map((code) => [`${code} may have sent everything`, throwing(broken(code)), 'unknown upstream_cut'] as const),
  [
    'ECONNRESET while reading may have sent everything',
    throwing(broken('ECONNRESET', { syscall: 'read' })),
    'unknown upstream_cut',
  ],
  [
    'ETIMEDOUT at connect sent nothing',
    throwing(broken('ETIMEDOUT', { syscall: 'connect' })),
    'not-sent upstream_unreachable',
  ],
  [
    'all addresses refused: nothing was sent',
    throwing(
      new TypeError('fetch failed', { cause: new AggregateError([broken('ECONNREFUSED'), broken('ENETUNREACH')]) }),
    ),
    'not-sent upstream_unreachable',
  ],
  [
    'one of the addresses reset: who knows',
    throwing(
      new TypeError('fetch failed', { cause: new AggregateError([broken('ECONNREFUSED'), broken('ECONNRESET')]) }),
    ),
    'unknown upstream_cut',
  ],
  [
    'a proxy that opens no tunnel sent nothing',
    throwing(new TypeError('fetch failed', { cause: new Error('Proxy response (407) !== 200 when HTTP Tunneling') })),
    'not-sent upstream_unreachable',
  ],
  [
    'an error without any code may have sent everything',
    throwing(new TypeError('fetch failed')),
    'unknown upstream_cut',
  ],
]

describe('an odd answer has exactly one outcome', () => {
  it.each(outcomes)('%s', async (_, script, expected) => {
    expect(gist(await askScripted(classic, script))).toBe(expected)
  })
})

const lifetimes: readonly (readonly [string, number | null])[] = [
  ['7200', 7_200_000],
  ['"7200"', 7_200_000],
  ['7200.0', 7_200_000],
  ['1', 1_000],
  ['315360000', 315_360_000_000],
  ['315360001', 315_360_000_000],
  ['9999999999', 315_360_000_000],
  ['2147484', 2_147_484_000],
  ...[
    '0',
    '-1',
    '7199.5',
    '1e400',
    '"NaN"',
    '"7200s"',
    '""',
    '" 7200"',
    'null',
    '[7200]',
    '{}',
    'true',
    '99999999999',
    '"-0"',
  ].map((form) => [form, null] as const),
]

describe('a lifetime', () => {
  it.each(lifetimes)('of %s', async (form, expected) => {
    const asked = await askScripted(classic, () => json(`{"access_token":"T1","expires_in":${form}}`))
    expect(gist(asked)).toBe(`issued ${String(expected)}`)
  })

  it('that is missing leaves the token in use', async () => {
    expect(gist(await askScripted(classic, () => json({ access_token: 'T1' })))).toBe('issued null')
  })
})

describe('a token', () => {
  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['null', null],
    ['a number', 7],
    ['a list', ['T']],
    ['with a space', 'a b'],
    ['with a line break', 'T\r\nx-evil: 1'],
    ['with a letter beyond ASCII', 'Tö'],
    ['of 4097 characters', 'T'.repeat(4097)],
  ])('%s is never taken, yet one may have been issued', async (_, access_token) => {
    expect(gist(await askScripted(classic, () => json({ access_token, expires_in: 7200 })))).toBe(
      'unknown token_unusable',
    )
  })

  it('of 4096 visible characters is taken as it is', async () => {
    const value = '~!'.repeat(2048)
    const { attempt } = await askScripted(classic, () => json({ access_token: value, expires_in: 7200 }))
    expect(attempt).toHaveProperty('issued.value', value)
  })
})

describe('time', () => {
  it('over before sending: nothing is sent', async () => {
    const clock = manualClock(noon)
    const asked = askScripted(classic, () => json(good), { clock, timeoutMs: 0 })
    expect([gist(await asked), (await asked).requests.length]).toEqual(['not-sent not_started', 0])
  })

  it('over while waiting for an answer that never comes: one may have been issued', async () => {
    const clock = manualClock(noon)
    const asked = askScripted(classic, () => new Promise(() => undefined), { clock })
    await clock.advance(8_000)
    expect(gist(await asked)).toBe('unknown upstream_timeout')
  })

  it('is the whole time: a slow drip is cut by it and the rest is not waited for', async () => {
    const clock = manualClock(noon)
    let cancelled = false
    const drip = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await clock.sleep(1_000)
        controller.enqueue(new TextEncoder().encode(' '))
      },
      cancel: () => {
        cancelled = true
      },
    })
    const asked = askScripted(classic, () => new Response(drip), { clock })
    await clock.advance(8_000)
    expect([gist(await asked), cancelled]).toEqual(['unknown upstream_timeout', true])
  })
})

describe('no text tells a secret', () => {
  const secretive: readonly (readonly [string, Script])[] = [
    ...outcomes.map(([name, script]) => [name, script] as const),
    ['the upstream repeats it', () => json({ errcode: 40125, errmsg: 'invalid appsecret canary-secret' })],
    ['the upstream repeats it as a code', () => json({ errcode: 'canary-secret', errmsg: 'x' })],
    ['the upstream repeats the URL', (request) => json({ errcode: 1, errmsg: `bad ${request.url}` })],
    ['the answer is a secret that is no JSON', () => new Response('canary-secret')],
    ['the token is not usable', () => json({ access_token: 'canary-secret ', expires_in: 1 })],
    ['the error tells the URL', throwing(broken('canary-secret'))],
  ]
  it.each(secretive)('when %s', async (_, script) => {
    const { attempt } = await askScripted(classic, script)
    if (attempt.outcome !== 'issued') expect(JSON.stringify(attempt)).not.toContain('canary')
  })

  it('nor the token that a ticket was asked with', async () => {
    const ticket = { provider: 'wechat-ticket', of: 'weixin' }
    const inputs = { weixin: { token: 'canary+token/=', version: 1, fields: {} } }
    const script: Script = (request) => json({ errcode: 40001, errmsg: `canary+token/= is bad, see ${request.url}` })
    const { attempt } = await askScripted(ticket, script, { inputs })
    expect(JSON.stringify(attempt)).not.toContain('canary')
  })
})

it('a request is sent with the order not to follow redirects', async () => {
  const { requests } = await askScripted(classic, () => json(good))
  expect(requests.map(({ redirect }) => redirect)).toEqual(['manual'])
})

it('a request goes through the proxy of its source', async () => {
  const { proxies } = await askScripted({ ...classic, proxy: 'http://10.0.0.2:3128' }, () => json(good))
  expect(proxies).toEqual(['http://10.0.0.2:3128'])
})

it('keys named __proto__ are gone from the fields, at every depth', async () => {
  const { attempt } = await askScripted(classic, () =>
    json('{"access_token":"T1","expires_in":7200,"__proto__":{"a":1},"deep":[{"__proto__":{"b":1},"c":2}]}'),
  )
  expect(attempt.outcome === 'issued' && JSON.stringify(attempt.issued.fields)).toBe(
    '{"access_token":"T1","expires_in":7200,"deep":[{"c":2}]}',
  )
})

it('an answer cut at any byte is never an issued token', async () => {
  const whole = JSON.stringify({ errcode: 0, ...good })
  const outcomesOfCuts = await Promise.all(
    Array.from({ length: whole.length }, async (_, length) =>
      gist(await askScripted(classic, () => json(whole.slice(0, length)))),
    ),
  )
  expect(new Set(outcomesOfCuts)).toEqual(new Set(['unknown upstream_not_json']))
})
