/** What every problem tells people: what was wrong, and what to do about it, never the same words twice. */
import { describe, expect, test } from 'vitest'
import { errorTable, ZhongkongError, type ErrorCode } from '../../src/base/errors.ts'
import { problem } from '../../src/http/problem.ts'
import { client, openHouse } from './visitor.ts'

type Words = { readonly detail: string; readonly hint: string }

const codes = Object.keys(errorTable) as ErrorCode[]
const toldOf = (code: ErrorCode, language: 'en' | 'zh'): Words =>
  JSON.parse(problem(new ZhongkongError(code, 'as it was thrown'), language).body as string) as Words

describe('a problem', () => {
  test.each(codes)('%s has a hint beside its detail', (code) => {
    const { detail, hint } = toldOf(code, 'en')
    expect([detail, hint]).toEqual([expect.stringMatching(/^[a-z]/), expect.stringMatching(/^[A-Z].*\.$/)])
    expect(hint.toLowerCase()).not.toContain(detail.toLowerCase())
    expect(toldOf(code, 'zh')).toMatchObject({ detail, hint: expect.stringMatching(/[\u4e00-\u9fff]/) })
  })

  test('what broke inside, and where the store is, is not told', () => {
    for (const code of ['internal', 'config_invalid', 'store_unavailable', 'seal_broken', 'not_found'] as const) {
      expect(JSON.stringify(toldOf(code, 'en'))).not.toContain('thrown')
    }
  })
})

describe('a refusal', () => {
  test('400 for a limit that is none, in words of a limit', async () => {
    const { ask } = openHouse({ sources: [{ name: 'weixin' }] })
    for (const limit of ['0', '1001', 'x', '-1', '']) {
      const { status, json } = await ask(`/v1/sources?limit=${limit}`)
      expect([status, (json as Words).detail]).toEqual([400, 'limit must be a whole number from 1 to 1000'])
    }
    const wait = await ask('/v1/tokens/weixin?wait=x')
    expect([wait.status, (wait.json as Words).detail]).toEqual([
      400,
      expect.stringContaining('whole number of seconds'),
    ])
  })

  test('403 names the right that is missing, in both languages', async () => {
    const house = { sources: [{ name: 'weixin' }], clients: [client('shop', 'shop-key', { read: ['*'] })] }
    const { ask } = openHouse(house)
    const question = { method: 'POST', key: 'shop-key', headers: { 'content-type': 'application/json' }, body: '{}' }
    const { status, json } = await ask('/v1/tokens/weixin/refresh', question)
    expect([status, (json as Words).hint]).toEqual([403, expect.stringMatching(/`clients:`.*refresh/)])
    const chinese = { ...question, headers: { ...question.headers, 'accept-language': 'zh' } }
    expect(((await ask('/v1/tokens/weixin/refresh', chinese)).json as Words).hint).toMatch(/添加权限/)
  })
})
