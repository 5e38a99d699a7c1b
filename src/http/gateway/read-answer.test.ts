import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { realClock } from '../../base/real-env.ts'
import type { Semantics } from '../../model/semantics.ts'
import { lookAt } from './read-answer.ts'

const common: Semantics = {
  reissue: 'independent',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 1,
  inject: { query: 'access_token' },
  invalidTokenCodes: [],
}

async function said(status: number, body: string, headers: readonly string[], more: Partial<Semantics>) {
  const passed = { status, headers, body: Readable.from([Buffer.from(body)], { objectMode: false }) }
  const looked = await lookAt(passed, { ...common, ...more }, realClock)
  let left = ''
  if (looked.whole === null) for await (const chunk of passed.body) left += String(chunk)
  return { ...looked.said, isWhole: looked.whole?.toString() === body || left === body }
}

const json = ['Content-Type', 'application/json; charset=utf-8']

describe('a refused token, as platforms say it', () => {
  test.each([
    ['WeChat', 200, '{"errcode":40001,"errmsg":"invalid credential"}', [40001]],
    ['DingTalk, old', 200, '{"errcode":88,"sub_code":"40014","sub_msg":"x"}', [40014]],
    ['DingTalk, new', 400, '{"code":"InvalidAuthentication","message":"x"}', ['InvalidAuthentication']],
    ['Feishu', 400, '{"code":99991663,"msg":"x"}', [99991663]],
    ['Baidu', 200, '{"error_code":110,"error_msg":"x"}', [110]],
    ['Douyin', 200, '{"data":{"error_code":2190008},"extra":{}}', [2190008]],
    ['Huawei', 401, '{"code":"80200003","msg":"x"}', [80200003]],
    ['vivo', 200, '{"result":10000}', [10000]],
    ['OAuth 2.0', 401, '{"error":"invalid_token"}', ['invalid_token']],
    ['Salesforce', 401, '[{"errorCode":"INVALID_SESSION_ID","message":"x"}]', ['INVALID_SESSION_ID']],
    ['Google', 401, '{"error":{"code":401,"status":"UNAUTHENTICATED"}}', ['UNAUTHENTICATED']],
    ['Microsoft', 401, '{"error":{"code":"InvalidAuthenticationToken"}}', ['InvalidAuthenticationToken']],
    ['GitHub, by the status', 401, '{"message":"Bad credentials"}', [401]],
    ['with a byte order mark', 200, '\ufeff{"errcode":40001}', [40001]],
  ] as const)('%s', async (_, status, body, invalidTokenCodes) => {
    expect(await said(status, body, json, { invalidTokenCodes })).toMatchObject({ refusesToken: true, isWhole: true })
    expect(await said(status, body, json, {})).toMatchObject({ refusesToken: false, isWhole: true })
  })

  test.each([
    ['no JSON', '<html>40001</html>', json],
    ['the code elsewhere', '{"data":{"errcode":40001},"text":"40001"}', json],
    ['another type', '{"errcode":40001}', ['Content-Type', 'image/png']],
    ['too long to be one', `{"errcode":40001,"errmsg":"${'x'.repeat(20_000)}"}`, json],
    ['said to be too long', '{"errcode":40001}', [...json, 'Content-Length', '99999']],
    ['broken', '{"errcode":40001', json],
    ['nested without end', '['.repeat(9_000), json],
    ['a coding that is not known', '{"errcode":40001}', [...json, 'Content-Encoding', 'zstd']],
    ['empty', '', json],
  ] as const)('is not seen in what is %s, which goes on as it came', async (_, body, headers) => {
    const told = await said(200, body, headers, { invalidTokenCodes: [40001] })
    expect(told).toEqual({ refusesToken: false, limit: null, address: null, isWhole: true })
  })
})

test.each([
  ['a WeChat coupon whose code is 40001', '{"errcode":0,"errmsg":"ok","code":"40001"}'],
  ['an errcode as text', '{"errcode":"0","code":42001}'],
  ['Feishu, with a code among the data', '{"code":0,"msg":"ok","data":{"code":40014}}'],
  ['a status among the data', '{"errcode":0,"data":{"status":40001}}'],
])('a call that was carried out is no refusal, whatever its answer holds: %s', async (_, body) => {
  expect(await said(200, body, json, { invalidTokenCodes: [40001, 40014, 42001] })).toMatchObject({
    refusesToken: false,
    isWhole: true,
  })
})

test('limits and addresses are told by their codes only', async () => {
  const more = { limitCodes: [45009, 'Forbidden.QpsLimit'], addressCodes: [60020] }
  expect(await said(200, '{"errcode":45009}', json, more)).toMatchObject({ limit: '45009' })
  expect(await said(429, '{"code":"Forbidden.QpsLimitForApi"}', json, more)).toMatchObject({
    limit: 'Forbidden.QpsLimit',
  })
  const from = 'not allow to access from your ip, from ip: 198.51.100.7, more info'
  expect(await said(200, `{"errcode":60020,"errmsg":"${from}"}`, json, more)).toMatchObject({ address: '198.51.100.7' })
  expect(await said(200, `{"errcode":40014,"errmsg":"${from}"}`, json, more)).toMatchObject({ address: null })
})
