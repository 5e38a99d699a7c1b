/** Names of sources, and the spans of a policy that scale with the life of a token. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hour, minute, sampleSource, second } from '../../test/model/samples.ts'
import { graceMsOf, minIntervalMsOf, rivals, sourceName } from './source.ts'

describe('the name of a source', () => {
  test.each(['weixin', 'weixin_jsticket', 'a', '_a', '0', 'component/wx1:app@corp.x-y', 'x'.repeat(128)])(
    '%s is one',
    (name) => {
      expect(sourceName.test(name)).toBe(true)
    },
  )

  test.each([
    '',
    '.',
    '../etc/passwd',
    '-x',
    '/x',
    ':x',
    'a b',
    'a\n',
    'a?b',
    'a#b',
    'a%2fb',
    'a\\b',
    'a/../b',
    'a/./b',
    'a//b',
    'a/',
    'a/-b',
    '微信',
    'x'.repeat(129),
  ])('%j is none', (name) => {
    expect(sourceName.test(name)).toBe(false)
  })

  test('fits into a URL as it is, and into no line of its own', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'a Z 0 _ . : @ / - ? # % \\ \n + ~'.split(' '), ' '), maxLength: 8 }),
        (name) => {
          fc.pre(sourceName.test(name))
          expect(name).not.toMatch(/[\s?#%\\]/)
          expect(new URL(`http://host/v1/${name}`).href).toBe(`http://host/v1/${name}`)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('rivals', () => {
  test('are sources of one account whose issues retire each other’s tokens, of whatever kind', () => {
    const first = sampleSource({ name: 'first', identity: 'a', channel: 'wechat:wx1' })
    const second = sampleSource({ name: 'second', identity: 'b', channel: 'wechat:wx1' })
    const alike = sampleSource({ name: 'alike', identity: 'c' })
    const other = sampleSource({ name: 'other', identity: 'c' })
    expect(rivals([first, alike, second, other])).toEqual([
      { source: second, first },
      { source: other, first: alike },
    ])
  })

  test('are none where an issue leaves the tokens before it alone', () => {
    const sources = ['one', 'two'].map((name) => sampleSource({ name, reissue: 'same-until-expiry', channel: 'x' }))
    expect(rivals(sources)).toEqual([])
  })
})

describe('grace and interval', () => {
  test('are what is configured, or what the upstream says', () => {
    expect(graceMsOf(sampleSource(), 2 * hour)).toBe(5 * minute)
    expect(graceMsOf(sampleSource({ policy: { overlapMs: 0 } }), 2 * hour)).toBe(0)
    expect(minIntervalMsOf(sampleSource(), 2 * hour)).toBe(30 * second)
  })

  test('are never more than a quarter of a short life', () => {
    expect(graceMsOf(sampleSource(), 20 * second)).toBe(5 * second)
    expect(minIntervalMsOf(sampleSource(), 20 * second)).toBe(5 * second)
  })
})
