/** Secrets do not show: neither the wrapped ones, nor those inside a text that somebody else wrote. */
import { format, inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fingerprint, safeEqual, scrub, Secret } from './secret.ts'

describe('a Secret', () => {
  const secret = new Secret('correct-horse')
  const nested = { settings: { list: [secret], error: new Error('x', { cause: secret }) } }

  test('prints as nothing, however it is printed', () => {
    const printed = [
      String(secret),
      `a ${secret.toString()}`,
      ['a', secret].join(' '),
      JSON.stringify(nested),
      inspect(nested, { depth: 9, showHidden: true }),
      inspect(nested, { depth: 9, customInspect: false, showHidden: true }),
      format('%s %o %O %j', secret, nested, nested, secret),
      JSON.stringify(Object.entries(secret)),
      JSON.stringify(Object.getOwnPropertyDescriptors(secret)),
    ]
    for (const text of printed) expect(text).not.toContain('horse')
    expect(String(secret)).toBe('[secret]')
  })

  test('is given only to those who ask', () => {
    expect(secret.reveal()).toBe('correct-horse')
  })
})

describe('comparison and naming', () => {
  test('equal strings are equal, and nothing else is', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (left, right) => {
        expect(safeEqual(left, right)).toBe(left === right)
        expect(safeEqual(left, left)).toBe(true)
      }),
    )
  })

  test('a fingerprint tells values apart and shows none of them', () => {
    expect(fingerprint('correct-horse')).toMatch(/^[0-9a-f]{8}$/)
    expect(fingerprint('correct-horse')).not.toBe(fingerprint('correct-horsf'))
  })
})

describe('scrub: secrets that are known', () => {
  /** Visible characters of any script; nothing that is part of the mark itself. */
  const secretText = fc
    .string({ unit: 'grapheme', minLength: 8, maxLength: 40 })
    .filter((text) => /^\P{C}+$/u.test(text) && !/[[\]]/.test(text) && text.trim() === text)
    .filter((text) => !'[secret]'.includes(text))
  const around = fc.string({ unit: 'binary', maxLength: 60 })

  const plantings: readonly (readonly [string, (secret: string) => string])[] = [
    ['as it is', (secret) => secret],
    ['in a URI', encodeURIComponent],
    ['in a form', (secret) => new URLSearchParams({ s: secret }).toString().slice(2)],
    [
      'in lower-case percent codes',
      (secret) => encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()),
    ],
    ['inside JSON', (secret) => JSON.stringify(secret).slice(1, -1)],
  ]

  test.each(plantings)('one planted %s never survives', (_how, plant) => {
    fc.assert(
      fc.property(secretText, around, around, fc.boolean(), (secret, before, after, isTwice) => {
        const text = `${before}${plant(secret)}${isTwice ? plant(secret) : ''}${after}`
        const clean = scrub(text, [secret], 10_000)
        expect(clean).not.toContain(secret)
        expect(clean).not.toContain(plant(secret))
      }),
      { numRuns: 300 },
    )
  })

  test('the longer of two is not left half standing by the shorter', () => {
    expect(scrub('<abcd1234EFGH>', ['abcd1234', 'abcd1234EFGH'])).toBe('<[secret]>')
  })

  test('one broken over lines by the text is still seen', () => {
    expect(scrub('see: my pass\nphrase!', ['my pass phrase'])).toBe('see: [secret]!')
  })

  test('half a character is no way past it', () => {
    expect(scrub('x \ud800abcdefgh y', ['\ud800abcdefgh'])).toBe('x [secret] y')
  })

  test('a text of three characters or less is no secret, so that words stay readable', () => {
    expect(scrub('a bad id', ['a', '', 'id'])).toBe('a bad id')
  })
})

describe('scrub: what looks like a secret', () => {
  const hidden: readonly string[] = [
    'secret=TELLTALE',
    'grant_type=client_credential&appid=wx1&secret=TELLTALE',
    'https://api.test/cgi-bin/token?appid=wx1&secret=TELLTALE#frag',
    'https://api.test/x?access_token=TELLTALE&y=1',
    'https://api.test/x?a=1&corpsecret=TELLTALE,TELLTALE;TELLTALE',
    'https://api.test/cb?code=TELLTALE&state=1',
    'https://api.test/cb?key=TELLTALE',
    '{"access_token":"TELLTALE","expires_in":7200}',
    '{ "appsecret" : "TELLTALE with spaces, and \\"quotes\\" TELLTALE" }',
    "{'refresh_token': 'TELLTALE TELLTALE'}",
    '"{\\"secret\\":\\"TELLTALE TELLTALE\\",\\"b\\":1}"',
    'jsapi_ticket: TELLTALE',
    'clientSecret=TELLTALE',
    'X-Api-Key: TELLTALE',
    'EncodingAESKey=TELLTALE',
    'password="TELLTALE',
    'Authorization: Bearer TELLTALE-TELLTALE-TELLTALE',
    'sign=TELLTALE&signature=TELLTALE',
    '\u0000\u0007secret\u0000=\u0000TELLTALE',
  ]

  test.each(hidden)('%j gives nothing away', (text) => {
    const clean = scrub(text)
    expect(clean).not.toContain('TELL')
    expect(clean).toContain('[secret]')
  })

  test.each([
    'invalid credential, access_token is invalid or not latest rid: 65a8-1',
    '{"errcode":40001,"code":99991663,"errmsg":"token expired"}',
    'the bearer token is missing',
    'https://api.test/design?page=2',
    'errcode=40013',
  ])('%j is left as it is', (text) => {
    expect(scrub(text)).toBe(text)
  })
})

describe('scrub: any text', () => {
  test('control characters become spaces, and what is too long is cut', () => {
    expect(scrub('a\r\nb\u0085c\u0000')).toBe('a b c ')
    expect(scrub('x'.repeat(400))).toBe(`${'x'.repeat(300)}…`)
    expect(scrub('x'.repeat(40), [], 10)).toBe(`${'x'.repeat(10)}…`)
  })

  test('no text makes it throw, and cleaning twice is cleaning once', () => {
    const piece = fc.constantFrom(
      'secret',
      'token',
      '=',
      ':',
      '"',
      "'",
      '\\',
      '\\"',
      '&',
      '?',
      ' ',
      'a',
      ',',
      '[secret]',
      '{',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 30 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (dirty) => {
        const clean = scrub(dirty)
        expect(clean).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
        expect(scrub(clean)).toBe(clean)
      }),
    )
  })

  test.each(['secret ', 'secret\\"', 'token', '_', 'bearer ', 'secret="\\', '&secret=', 'a=\\\\"', 'key'])(
    'a megabyte of %j takes no longer than a moment',
    (piece) => {
      const started = process.cpuUsage()
      scrub(piece.repeat(Math.ceil(1_000_000 / piece.length)))
      const used = process.cpuUsage(started)
      expect(used.user + used.system).toBeLessThan(2_000_000)
    },
  )
})
