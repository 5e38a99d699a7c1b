import { createHash, createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { input } from '../../test/providers/scripted.ts'
import { TemplateError } from './template-words.ts'
import { MissingInput, Template, type Scope } from './template.ts'

const nowMs = 1_772_424_000_123
const scope: Scope = {
  nowMs,
  inputs: new Map([
    [
      'weixin',
      input('TOKEN', { access_token: 'FIELD', expires_in: 7200, ok: true, none: null, a: { b: ['x', { c: 'deep' }] } }),
    ],
    ['corp.a', input('DOTTED', { access_token: 'DOTTED-FIELD' })],
    ['team/app-1', input('SLASHED', { 'odd key': 'odd' })],
  ]),
  values: new Map([
    ['key', 'K'],
    ['tricky', `'"\\{{weixin}}`],
  ]),
}
const fill = (text: string): string => Template.parse(text).fill(scope)
const digest = (algorithm: string, text: string): string => createHash(algorithm).update(text).digest('hex')

describe('a template', () => {
  it.each([
    ['', ''],
    ['plain } text { with }} signs', 'plain } text { with }} signs'],
    ['{{results.weixin.access_token}}', 'FIELD'],
    ['{{ results . weixin . access_token }}', 'FIELD'],
    ['{{weixin}}', 'TOKEN'],
    ['Bearer {{weixin}}!', 'Bearer TOKEN!'],
    ['{{weixin}}{{weixin}}', 'TOKENTOKEN'],
    ['{{results.weixin.expires_in}} {{results.weixin.ok}}', '7200 true'],
    ['{{results.weixin.a.b.0}}', 'x'],
    ['{{results.weixin.a.b.1.c}}', 'deep'],
    ['{{corp.a}}', 'DOTTED'],
    ['{{results."corp.a".access_token}}', 'DOTTED-FIELD'],
    ['{{team/app-1}}', 'SLASHED'],
    ["{{results.team/app-1.'odd key'}}", 'odd'],
    ['{{nowMs}} {{nowMs()}} {{nowS}}', `${nowMs} ${nowMs} 1772424000`],
    ["{{'{{'}}", '{{'],
    [`{{"it's"}} {{'a\\'b\\\\'}}`, "it's a'b\\"],
    ["{{base64('a', weixin, 'ü')}}", Buffer.from('aTOKENü').toString('base64')],
    ["{{md5('app', values.key, nowMs, 'secret')}}", digest('md5', `appK${nowMs}secret`)],
    ['{{sha256(results.weixin.access_token)}}', digest('sha256', 'FIELD')],
    [
      "{{hmacSha256('k', 'a', md5('b'))}}",
      createHmac('sha256', 'k')
        .update(`a${digest('md5', 'b')}`)
        .digest('hex'),
    ],
  ])('%j becomes %j', (text, expected) => {
    expect(fill(text)).toBe(expected)
  })

  it('puts values in once: what they hold is never read again', () => {
    expect(fill('{{values.tricky}}')).toBe(`'"\\{{weixin}}`)
    expect(fill('{{md5(values.tricky)}}')).toBe(digest('md5', `'"\\{{weixin}}`))
  })

  it('encodes what is put in, and leaves the text around it alone', () => {
    expect(Template.parse('a b/{{values.tricky}}').fill(scope, encodeURIComponent)).toBe(
      `a b/'%22%5C%7B%7Bweixin%7D%7D`,
    )
  })

  it.each([
    '{{results.weixin.nothing}}',
    '{{results.weixin.none}}',
    '{{results.weixin.a}}',
    '{{results.weixin.toString}}',
    '{{results.weixin.__proto__.x}}',
    '{{results.weixin.a.b.length}}',
    '{{results.nobody.x}}',
    '{{nobody}}',
  ])('%s names what is missing', (text) => {
    expect(() => fill(text)).toThrow(MissingInput)
  })

  it('tells the place and value of nothing but names', () => {
    expect(() => fill('{{results.weixin.a.z}}')).toThrow('the answer of weixin holds no text at a.z')
  })

  it('says which sources, fields and values it uses, inside of functions too', () => {
    const template = Template.parse('{{weixin}} {{md5(results.other.a.b, hmacSha256(values.key, corp.a))}}')
    expect(template.references()).toEqual([
      { source: 'weixin', field: null, index: 2 },
      { source: 'other', field: 'a', index: 17 },
      { source: 'corp.a', field: null, index: 59 },
    ])
    expect(template.values()).toEqual([{ name: 'key', index: 47 }])
  })

  it('prints as nothing, because it may hold secrets', () => {
    const template = Template.parse('canary {{weixin}}')
    expect(`${JSON.stringify({ template })} ${inspect(template)} ${String(template)}`).not.toContain('canary')
  })
})

describe('a mistake is told with its place', () => {
  it.each([
    ['a {{weixin', 3, /never closed/],
    ['{{', 1, /never closed/],
    ['{{}}', 3, /missing/],
    ['{{ }}', 4, /missing/],
    ['{{a b}}', 5, /"b" is not expected/],
    ['{{a.}}', 5, /missing/],
    ['{{.a}}', 3, /"." is not expected/],
    ['{{{a}}}', 3, /"{" is not expected/],
    ['{{md5(}}', 7, /missing/],
    ['{{md5(a}}', 8, /missing/],
    ['{{md5(a,)}}', 9, /"\)" is not expected/],
    ['{{md5()}}', 3, /1 or more/],
    ["{{hmacSha256('k')}}", 3, /2 or more/],
    ['{{mb5(a)}}', 3, /did you mean md5/],
    ['{{results.weixin}}', 3, /name a field/],
    ["{{'abc}}", 3, /never closed/],
    ["{{'a\\n'}}", 5, /after \\/],
    ['x{{a | upper}}', 6, /"\|" is not expected/],
    [`{{${'md5('.repeat(40)}a${')'.repeat(40)}}}`, 67, /nested/],
  ])('%s', (text, at, message) => {
    const thrown = ((): unknown => {
      try {
        return Template.parse(text)
      } catch (error) {
        return error
      }
    })()
    expect(thrown).toBeInstanceOf(TemplateError)
    expect(thrown).toMatchObject({ at, message: expect.stringMatching(message) })
    expect((thrown as TemplateError).text.zh).toContain(`第 ${at} 个字符`)
  })
})

describe('whatever is written', () => {
  const pieces = fc.constantFrom(
    '{{',
    '}}',
    '{',
    '}',
    "'",
    '"',
    '\\',
    '(',
    ')',
    ',',
    '.',
    ' ',
    'md5',
    'results',
    'values',
    'weixin',
    'access_token',
    'nowMs',
    '0',
    'ü',
    '\n',
  )

  it('either parses or is a mistake with a place inside the text; nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
        const text = parts.join('')
        try {
          Template.parse(text)
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError)
          expect((error as TemplateError).at).toBeGreaterThanOrEqual(1)
          expect((error as TemplateError).at).toBeLessThanOrEqual(text.length + 1)
        }
      }),
      { numRuns: 3_000, seed: 42 },
    )
  })

  it('a quoted text comes out as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const quoted = `'${text.replace(/[\\'"]/g, '\\$&')}'`
        expect(Template.parse(`{{${quoted}}}`).fill(scope)).toBe(text)
      }),
      { seed: 42 },
    )
  })

  it('a value comes out as it went in, whatever it looks like', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const here = { ...scope, values: new Map([['v', value]]) }
        expect(Template.parse('<{{values.v}}>').fill(here)).toBe(`<${value}>`)
      }),
      { seed: 42 },
    )
  })

  it('a text without braces is left alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('{{')),
        (text) => {
          expect(fill(text)).toBe(text)
        },
      ),
      { seed: 42 },
    )
  })
})
