/** One error class, one table of codes. */
import { describe, expect, test } from 'vitest'
import { asZhongkongError, errorTable, ZhongkongError } from './errors.ts'

describe('the table of codes', () => {
  test.each(Object.entries(errorTable))('%s says whose failure it is, in both languages', (code, row) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(row.text.en).toMatch(/^[A-Z].*\.$/)
    expect(row.text.zh).toMatch(/[\u4e00-\u9fff].*。$/)
    expect(row.status).toBeGreaterThanOrEqual(400)
    expect(row.status < 500).toBe(row.owner === 'caller')
  })
})

describe('ZhongkongError', () => {
  test('knows its status and owner by its code', () => {
    const error = new ZhongkongError('token_unavailable', 'no token yet', { retryAfterSeconds: 3 })
    expect(error).toMatchObject({ status: 503, owner: 'upstream', retryAfterSeconds: 3, message: 'no token yet' })
    expect(error).toBeInstanceOf(Error)
  })

  test('has no cause unless one is given', () => {
    expect('cause' in new ZhongkongError('internal', 'x')).toBe(false)
    const cause = new Error('y')
    expect(new ZhongkongError('internal', 'x', { cause }).cause).toBe(cause)
  })
})

describe('asZhongkongError', () => {
  test('leaves one of ours as it is', () => {
    const error = new ZhongkongError('conflict', 'x')
    expect(asZhongkongError(error)).toBe(error)
  })

  test.each([new Error('secret=abc'), 'secret=abc', undefined, null])(
    'makes %s internal, without its words',
    (thrown) => {
      const error = asZhongkongError(thrown)
      expect(error.code).toBe('internal')
      expect(error.message).not.toContain('abc')
    },
  )
})
