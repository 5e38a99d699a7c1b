/** Every error code that the platforms document for token and ticket calls, and what we make of it. */
import { describe, expect, it } from 'vitest'
import { askScripted, gist, input, json } from '../../test/providers/scripted.ts'
import { manualClock, noon } from '../../test/simulator/stage.ts'
import { untilBeijingMidnightMs } from './wechat-errors.ts'

const minute = 60_000
const hour = 60 * minute
const dingtalkCorp = {
  provider: 'dingtalk-corp',
  of: 'above',
  corpid: 'ding2',
  suite_key: 'suite1',
  suite_secret: 's3cret',
} as const
const definitions = {
  token: { provider: 'wechat', appid: 'wx1', secret: 's3cret' },
  ticket: { provider: 'wechat-ticket', of: 'above' },
  'wecom token': { provider: 'wecom', corpid: 'ww1', secret: 's3cret' },
  'wecom ticket': { provider: 'wecom-ticket', of: 'above' },
  'dingtalk token': { provider: 'dingtalk', appkey: 'ding1', secret: 's3cret', stack: 'old' },
  'dingtalk ticket': { provider: 'dingtalk-ticket', of: 'above', stack: 'old' },
  'new dingtalk token': { provider: 'dingtalk', appkey: 'ding1', secret: 's3cret' },
  'new dingtalk ticket': { provider: 'dingtalk-ticket', of: 'above' },
  'feishu token': { provider: 'feishu', app_id: 'cli_1', secret: 's3cret' },
  'feishu ticket': { provider: 'feishu-ticket', of: 'above' },
  oauth2: { provider: 'oauth2', token_url: 'https://as.test/token', client_id: 'a', client_secret: 's3cret' },
  'wecom provider': { provider: 'wecom-provider', corpid: 'ww1', provider_secret: 's3cret' },
  'wecom suite': { provider: 'wecom-suite', suite_id: 'ww1', suite_secret: 's3cret' },
  'wecom corp': { provider: 'wecom-corp', of: 'above', corpid: 'ww2' },
  'wecom corpgroup': { provider: 'wecom-corpgroup', of: 'above', corpid: 'ww2', agentid: 1 },
  'dingtalk suite': { provider: 'dingtalk-suite', suite_key: 'suite1', suite_secret: 's3cret', stack: 'old' },
  'new dingtalk suite': { provider: 'dingtalk-suite', suite_key: 'suite1', suite_secret: 's3cret' },
  'dingtalk corp': { ...dingtalkCorp, stack: 'old' },
  'new dingtalk corp': dingtalkCorp,
  'feishu store': { provider: 'feishu-store', app_id: 'cli_1', secret: 's3cret' },
  'feishu tenant': { provider: 'feishu-tenant', of: 'above', tenant_key: 't1' },
} as const
type Kind = keyof typeof definitions

describe('a hint in Chinese', () => {
  const zh = async (kind: Kind, errcode: number, errmsg: string): Promise<string> => {
    const { attempt } = await askScripted(definitions[kind], () => json({ errcode, errmsg }), {
      inputs: { above: input('T') },
    })
    return attempt.outcome === 'rejected' ? (attempt.failure.hint?.zh ?? '') : ''
  }
  it.each<[Kind, number]>([
    ['token', 40164],
    ['ticket', 61004],
    ['wecom token', 60020],
    ['dingtalk ticket', 60020],
  ])('has its spaces around an address, and none where there is none (%s %i)', async (kind, code) => {
    const words = 'invalid ip 1.2.3.4, from ip: 1.2.3.4'
    expect(await zh(kind, code, words)).toMatch(/^请把 1\.2\.3\.4 (加入|登记)/)
    expect(await zh(kind, code, 'no address')).toMatch(/^请把本服务器的出口 IP (加入|登记)/)
  })
})

type Row = readonly [kinds: readonly Kind[], code: number | string, outcome: string, refusedInput?: true]

const both: readonly Kind[] = ['token', 'ticket']
const bothWecom: readonly Kind[] = ['wecom token', 'wecom ticket']
const oldDingtalk: readonly Kind[] = ['dingtalk token', 'dingtalk ticket']
const newDingtalk: readonly Kind[] = ['new dingtalk token', 'new dingtalk ticket']
const bothFeishu: readonly Kind[] = ['feishu token', 'feishu ticket']

const golden: readonly Row[] = [
  [both, -1, 'transient'],
  [['token'], 40001, 'configuration'],
  [['token'], 40002, 'configuration'],
  [['token'], 40013, 'configuration'],
  [['token'], 40125, 'configuration'],
  [both, 40164, 'permission'],
  [['token'], 40243, 'configuration'],
  [['token'], 41002, 'configuration'],
  [['token'], 41004, 'configuration'],
  [['token'], 43002, 'configuration'],
  [both, 45009, `quota ${12 * hour + minute}`],
  [both, 45011, `quota ${minute}`],
  [both, 50004, 'permission'],
  [both, 50007, 'permission'],
  [['token'], 89501, 'permission'],
  [['token'], 89503, 'permission'],
  [['token'], 89506, `permission ${24 * hour}`],
  [['token'], 89507, `permission ${hour}`],
  [['ticket'], 40001, 'transient', true],
  [['ticket'], 40014, 'transient', true],
  [['ticket'], 42001, 'transient', true],
  [['ticket'], 40097, 'configuration'],
  [['ticket'], 41001, 'configuration'],
  [['ticket'], 42007, 'needs-authorization'],
  [['ticket'], 48001, 'permission'],
  [['ticket'], 48004, 'permission'],
  [['ticket'], 50002, 'permission'],
  [['ticket'], 61004, 'permission'],
  [['ticket'], 61007, 'permission'],
  [both, 99999, 'transient'],

  [bothWecom, -1, 'transient'],
  [['wecom token'], 40001, 'configuration'],
  [['wecom ticket'], 40001, 'transient', true],
  [bothWecom, 40013, 'configuration'],
  [['wecom ticket'], 40014, 'transient', true],
  [bothWecom, 40077, 'transient'],
  [bothWecom, 40078, 'needs-authorization'],
  [bothWecom, 40080, 'configuration'],
  [['wecom ticket'], 40082, 'transient', true],
  [bothWecom, 40083, 'configuration'],
  [bothWecom, 40084, 'needs-authorization'],
  [bothWecom, 40085, 'transient'],
  [bothWecom, 40086, 'configuration'],
  [bothWecom, 40091, 'configuration'],
  ...[41001, 41002, 41004, 41021, 41022, 41023, 41024, 41025].map(
    (code) => [bothWecom, code, 'configuration'] as const,
  ),
  [['wecom ticket'], 42001, 'transient', true],
  [bothWecom, 42007, 'transient'],
  [['wecom ticket'], 42009, 'transient', true],
  [['wecom token'], 45009, `quota ${minute}`],
  [['wecom ticket'], 45009, `quota ${hour}`],
  [bothWecom, 45033, `transient ${minute}`],
  [bothWecom, 48002, 'permission'],
  [bothWecom, 48003, 'needs-authorization'],
  [bothWecom, 48004, 'needs-authorization'],
  [bothWecom, 50003, 'permission'],
  [bothWecom, 60020, 'permission'],
  [bothWecom, 6000, 'transient'],
  [bothWecom, 301002, 'permission'],

  [oldDingtalk, -1, 'transient'],
  [oldDingtalk, 40035, 'configuration'],
  [oldDingtalk, 40089, 'configuration'],
  [oldDingtalk, 40096, 'configuration'],
  [['dingtalk ticket'], 40000, 'transient', true],
  [['dingtalk ticket'], 40001, 'transient', true],
  [['dingtalk ticket'], 40014, 'transient', true],
  [['dingtalk ticket'], 42001, 'transient', true],
  [['dingtalk token'], 40014, 'transient'],
  [oldDingtalk, 41001, 'configuration'],
  [oldDingtalk, 60011, 'permission'],
  [oldDingtalk, 60020, 'permission'],
  [oldDingtalk, 88, 'transient'],
  [oldDingtalk, 90001, `quota ${minute}`],
  [oldDingtalk, 90014, `quota ${minute}`],
  [oldDingtalk, 90015, 'transient'],
  [oldDingtalk, 90018, `quota ${minute}`],
  [newDingtalk, 'invalidClientIdOrSecret', 'configuration'],
  [newDingtalk, 'AuthenticationFailed.MissingParameter', 'configuration'],
  [newDingtalk, 'ServiceUnavailable', 'transient'],
  [newDingtalk, 'Forbidden.AccessDenied.AccessTokenPermissionDenied', 'permission'],
  [newDingtalk, 'Forbidden.AccessDenied.IpNotInWhiteList', 'permission'],
  [newDingtalk, 'Forbidden.AccessDenied.QpsLimitForAppkeyAndApi', 'transient'],
  [['new dingtalk ticket'], 'InvalidAuthentication', 'transient', true],
  [['new dingtalk token'], 'InvalidAuthentication', 'transient'],

  [['feishu token'], 10003, 'configuration'],
  [['feishu token'], 10014, 'configuration'],
  [['feishu token'], 10015, 'configuration'],
  [bothFeishu, 99991400, `quota ${minute}`],
  [['feishu ticket'], 99991661, 'configuration'],
  [['feishu ticket'], 99991663, 'transient', true],
  [['feishu ticket'], 99991664, 'transient', true],
  [['feishu ticket'], 99991671, 'transient', true],
  [bothFeishu, 99991672, 'permission'],
  [bothFeishu, 99991679, 'permission'],
  [bothFeishu, 2200, 'transient'],

  [['wecom provider'], 40001, 'configuration'],
  [['wecom provider'], 40013, 'configuration'],
  [['wecom provider', 'wecom suite', 'wecom corp', 'wecom corpgroup'], -1, 'transient'],
  [['wecom provider', 'wecom suite', 'wecom corp', 'wecom corpgroup'], 45009, `quota ${minute}`],
  [['wecom suite'], 40001, 'configuration'],
  [['wecom suite'], 40080, 'configuration'],
  [['wecom suite', 'wecom corp'], 40083, 'configuration'],
  [['wecom suite'], 40085, 'needs-authorization'],
  ...[40001, 40014, 40082, 42001, 42009].map(
    (code) => [['wecom corp', 'wecom corpgroup'], code, 'transient', true] as const,
  ),
  [['wecom corp'], 40084, 'needs-authorization'],
  [['wecom corp'], 48003, 'needs-authorization'],
  [['wecom corp'], 48004, 'needs-authorization'],
  [['wecom corpgroup'], 48002, 'permission'],

  [['dingtalk suite', 'dingtalk corp'], 40080, 'configuration'],
  [['dingtalk suite', 'dingtalk corp'], 40083, 'configuration'],
  [['dingtalk suite'], 40085, 'needs-authorization'],
  [['dingtalk corp'], 40085, 'transient', true],
  [['new dingtalk suite', 'new dingtalk corp'], 'invalidSuiteKey', 'configuration'],
  [['new dingtalk suite', 'new dingtalk corp'], 'invalidSuiteSecret', 'configuration'],
  [['new dingtalk suite'], 'invalidSuiteTicket', 'needs-authorization'],
  [['new dingtalk corp'], 'invalidSuiteTicket', 'transient', true],
  [['new dingtalk corp'], 'Forbidden.AccessDenied.IpNotInWhiteList', 'permission'],

  [['feishu store'], 10003, 'configuration'],
  [['feishu store'], 10012, 'needs-authorization'],
  [['feishu store'], 10014, 'configuration'],
  [['feishu store'], 10015, 'configuration'],
  [['feishu store'], 10016, 'configuration'],
  [['feishu store', 'feishu tenant'], 99991400, `quota ${minute}`],
  [['feishu tenant'], 10003, 'configuration'],
  ...[10012, 99991663, 99991664, 99991671].map((code) => [['feishu tenant'], code, 'transient', true] as const),

  [['oauth2'], 'invalid_request', 'configuration'],
  [['oauth2'], 'invalid_client', 'configuration'],
  [['oauth2'], 'invalid_grant', 'needs-authorization'],
  [['oauth2'], 'unauthorized_client', 'configuration'],
  [['oauth2'], 'unsupported_grant_type', 'configuration'],
  [['oauth2'], 'invalid_scope', 'configuration'],
  [['oauth2'], 'invalid_target', 'configuration'],
  [['oauth2'], 'access_denied', 'permission'],
  [['oauth2'], 'temporarily_unavailable', 'transient'],
  [['oauth2'], 'server_error', 'transient'],
]

const cases = golden.flatMap(([kinds, code, outcome, refusesInput]) =>
  kinds.map((kind) => ({ kind, code, outcome, refusesInput: refusesInput === true })),
)

function bodyOf(kind: Kind, code: number | string, errmsg: string): object {
  if (kind === 'oauth2') return { error: code, error_description: errmsg }
  if (kind.startsWith('new dingtalk')) return { code, message: errmsg }
  return kind.startsWith('feishu') ? { code, msg: errmsg } : { errcode: code, errmsg }
}

async function answered(
  kind: Kind,
  code: number | string,
  errmsg = 'some words',
  at = noon,
): Promise<Awaited<ReturnType<typeof askScripted>>> {
  const body = bodyOf(kind, code, errmsg)
  const options = { inputs: { above: { ...input('T0'), grant: 'G0' } }, grant: 'G1', clock: manualClock(at) }
  return await askScripted(definitions[kind], () => json(body), options)
}

describe('an error code', () => {
  it.each(cases)('$code of $kind is $outcome', async ({ kind, code, outcome, refusesInput }) => {
    const asked = await answered(kind, code)
    const [classOf, wait] = outcome.split(' ')
    expect(gist(asked)).toBe(`rejected ${classOf} upstream_rejected${wait === undefined ? '' : ` ${wait}`}`)
    expect(asked.attempt).toMatchObject({ failure: { upstream: { errcode: code, errmsg: 'some words' } } })
    expect('refusedInput' in asked.attempt ? asked.attempt.refusedInput : null).toBe(refusesInput ? 'above' : null)
  })

  it.each(cases)('$code of $kind is explained in both languages', async ({ kind, code }) => {
    const { attempt } = await answered(kind, code)
    const hint = attempt.outcome === 'rejected' ? attempt.failure.hint : undefined
    expect(hint?.en).toMatch(/^[A-Z].*\.$/)
    expect(hint?.zh).toMatch(/[\u4e00-\u9fff].*。$/)
  })

  it('as a text means the same as the number', async () => {
    const { attempt } = await askScripted(definitions.token, () => json({ errcode: '40125', errmsg: '' }))
    expect(attempt).toMatchObject({ class: 'configuration', failure: { upstream: { errcode: 40125 } } })
  })

  it.each(['constructor', '__proto__', 'toString'])('%s is no known code', async (code) => {
    expect(gist(await answered('token', code))).toBe('rejected transient upstream_rejected')
  })
})

describe('the address that a platform saw', () => {
  it.each([
    [
      'token',
      40164,
      'invalid ip 180.109.233.172 ipv6 ::ffff:180.109.233.172, not in whitelist rid: 1-2-3',
      '180.109.233.172',
    ],
    ['token', 40164, 'invalid ip 2001:db8::7, not in whitelist', '2001:db8::7'],
    ['ticket', 61004, 'access clientip is not registered requestIP: 1.2.3.4', '1.2.3.4'],
    [
      'wecom token',
      60020,
      'not allow to access from your ip, hint: [1_2], from ip: 9.8.7.6, more info at https://x',
      '9.8.7.6',
    ],
    [
      'new dingtalk ticket',
      'Forbidden.AccessDenied.IpNotInWhiteList',
      '访问ip不在白名单之中,request ip=9.8.7.6 appKey(ding1)',
      '9.8.7.6',
    ],
  ] as const)('is named to the operator: %s %s', async (kind, code, errmsg, address) => {
    const { attempt } = await answered(kind, code, errmsg)
    const hint = attempt.outcome === 'rejected' ? attempt.failure.hint : undefined
    expect(hint?.en).toContain(address)
    expect(hint?.zh).toContain(address)
  })

  it('is not made up when the text holds none', async () => {
    const { attempt } = await answered('token', 40164, 'invalid ip 999.1.1.1<script>')
    expect(JSON.stringify(attempt.outcome === 'rejected' ? attempt.failure.hint : '')).toContain(
      'the address of this server',
    )
  })
})

describe('the quota of a day', () => {
  const at = (time: string): number => Date.parse(`2026-03-02T${time}+08:00`)

  it.each([
    ['00:10:00', 23 * hour + 50 * minute + minute],
    ['12:00:00', 12 * hour + minute],
    ['23:59:59', minute + 1_000],
  ])('used up at %s in Beijing waits for the next midnight there', (time, expected) => {
    expect(untilBeijingMidnightMs(at(time))).toBe(expected)
  })

  it('said to be used up right after midnight is asked about again soon, not a day later', () => {
    expect(untilBeijingMidnightMs(at('00:00:30'))).toBe(minute)
  })

  it.each([
    ['api freq out of limit per minute', minute],
    ['每小时调用超过限制', hour],
    ['reach max api daily quota limit', 12 * hour + minute],
  ])('of WeCom follows the words: %s', async (errmsg, wait) => {
    expect(gist(await answered('wecom ticket', 45009, errmsg))).toBe(`rejected quota upstream_rejected ${wait}`)
  })
})
