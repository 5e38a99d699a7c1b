import { describe, expect, it } from 'vitest'
import { readFields } from './fields.ts'

describe('fields', () => {
  it.each([
    [
      'XML with CDATA, text, numbers that do not fit and nested lists',
      '<?xml version="1.0"?>\n<xml>\n<A><![CDATA[a<b>&amp;]]></A><Id>4561255354251345929</Id><C/><D></D><E><Item>1</Item><Item>2</Item></E></xml>\n',
      { A: 'a<b>&amp;', Id: '4561255354251345929', C: '', D: '', E: { Item: ['1', '2'] } },
    ],
    ['XML whose spaces do not count', '<xml><InfoType> suite_ticket </InfoType></xml>', { InfoType: 'suite_ticket' }],
    [
      'a document type that somebody wrote in a message',
      '<xml><C><![CDATA[<!DOCTYPE a>]]></C></xml>',
      { C: '<!DOCTYPE a>' },
    ],
    ['an entity, left as it is', '<xml><C>&lt;&x;</C></xml>', { C: '&lt;&x;' }],
    ['JSON', ' {"a":{"b":[1,"x"]}} ', { a: { b: [1, 'x'] } }],
    [
      'JSON with brackets in a text',
      `{"a":"${'['.repeat(100)}\\"${'{'.repeat(100)}"}`,
      { a: `${'['.repeat(100)}"${'{'.repeat(100)}` },
    ],
    ['JSON without its __proto__', '{"a":1,"__proto__":{"b":2}}', { a: 1 }],
  ])('of %s', (_, text, fields) => {
    expect(readFields(text)).toEqual(fields)
    expect(Object.getPrototypeOf(readFields(text))).toBe(Object.prototype)
  })

  const deep = (levels: number) => `<xml>${'<a>'.repeat(levels)}${'</a>'.repeat(levels)}</xml>`

  it.each([
    ['nothing', ''],
    ['a text', 'success'],
    ['a list', '[1]'],
    ['JSON that is cut', '{"a":1'],
    ['JSON too deep', `${'{"a":'.repeat(20)}1${'}'.repeat(20)}`],
    ['a document type', '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><C>&a;</C></xml>'],
    ['a document type inside', '<xml><!DOCTYPE a><C/></xml>'],
    ['an entity', '<xml><!ENTITY a "b"><C>&a;</C></xml>'],
    ['an instruction', '<xml><?php echo 1 ?></xml>'],
    ['a comment', '<xml><!-- a --></xml>'],
    ['an attribute', '<xml a="1"><C/></xml>'],
    ['an attribute that hides an element', '<xml><a b="></a><c>"></a></xml>'],
    ['XML too deep', deep(17)],
    ['XML much too deep', deep(5_000)],
    ['XML that is not closed', '<xml><a>'],
    ['XML that is closed twice', '<xml></a></xml></xml>'],
    ['XML that is closed crosswise', '<xml><a><b></a></b></xml>'],
    ['two roots', '<xml><a/></xml><xml/>'],
    ['CDATA that is not closed', '<xml><a><![CDATA[x</a></xml>'],
    ['a root without anything', '<xml/>'],
    ['a root with text alone', '<xml>text</xml>'],
    ['a name that is a prototype', '<xml><__proto__><a>1</a></__proto__></xml>'],
  ])('are not in %s', (_, text) => {
    expect(readFields(text)).toBeNull()
  })

  it('are as deep as sixteen levels, and no deeper', () => {
    expect(readFields(deep(15))).not.toBeNull()
    expect(readFields(deep(16))).toBeNull()
  })

  it.each([
    ['quotation marks', `{"${'"\\"'.repeat(20_000)}`],
    ['elements', `<xml>${'<a></a>'.repeat(9_000)}</xml>`],
    ['opening brackets', `<xml>${'<'.repeat(60_000)}</xml>`],
    ['spaces', `<xml><a${' '.repeat(60_000)}></a></xml>`],
    ['CDATA', `<xml><a>${'<![CDATA[]]>'.repeat(5_000)}</a></xml>`],
    ['half a CDATA', `<xml><a>${'<![CDATA['.repeat(7_000)}</a></xml>`],
    ['a declaration that never ends', `<?xml ${'?'.repeat(60_000)}`],
  ])('of 64 KiB of %s are read or refused in time', (_, text) => {
    const startedAt = process.cpuUsage().user
    readFields(text)
    // Generous, for a busy machine; what goes over a text again and again takes seconds.
    expect((process.cpuUsage().user - startedAt) / 1_000).toBeLessThan(400)
  })
})
