import { describe, expect, it } from 'vitest'
import { parseSource } from '../providers/catalogue.ts'
import {
  keysAndValues,
  laidOut,
  wrongWordInKey,
  type KeyValue,
  type LayoutPreset,
  type SinkLayout,
} from './sink-layout.ts'
import type { Source } from './source.ts'

function sourceOf(name: string, definition: Readonly<Record<string, string>>): Source {
  const parsed = parseSource(name, definition, 'file', () => undefined)
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message.en).join(' '))
  return parsed.source
}

const weixin = sourceOf('weixin', { provider: 'wechat', appid: 'testappid', secret: 'testsecret' })
const ticket = sourceOf('ticket', { provider: 'wechat-ticket', of: 'weixin' })
const card = sourceOf('card', { provider: 'wechat-ticket', of: 'weixin', type: 'wx_card' })
const corp = sourceOf('corp', { provider: 'wecom', corpid: 'ww1', secret: '0123456789abcdef' })
const app = sourceOf('app', { provider: 'wecom', corpid: 'ww1', secret: 'x', agentid: '1000002' })
const corpTicket = sourceOf('corp_ticket', { provider: 'wecom-ticket', of: 'app' })
const appTicket = sourceOf('app_ticket', { provider: 'wecom-ticket', of: 'app', type: 'agent_config' })
const generic = sourceOf('generic', { provider: 'http', url: 'https://x.test/token' })
const platform = sourceOf('platform', {
  provider: 'wechat-component',
  appid: 'wxplatform',
  secret: 's',
})
const shop = sourceOf('platform/wxshop', { provider: 'wechat-authorizer', of: 'platform', appid: 'wxshop' })
const shopTicket = sourceOf('platform/wxshop/jsapi', { provider: 'wechat-ticket', of: 'platform/wxshop' })
const all = [platform, shop, shopTicket, weixin, ticket, card, corp, app, corpTicket, appTicket, generic]

const token = {
  token: 'a"token',
  version: 7,
  issuedAt: 1_800_000_000_500,
  expiresAt: 1_800_007_200_700,
  fields: { access_token: 'a"token' },
}

const named = (name: string | undefined): Source | undefined => all.find((source) => source.name === name)

function entries(layout: SinkLayout, source: Source): readonly KeyValue[] {
  const above: Source[] = []
  for (let next = named(source.needs[0]); next !== undefined; next = named(next.needs[0])) above.push(next)
  return keysAndValues(layout, laidOut(source, above), token)
}

const keys = (preset: LayoutPreset, source: Source, prefix: string | null = null): readonly string[] =>
  entries({ preset, prefix }, source).map(({ key }) => key)

/** As the code of each reader makes them. */
describe('the keys of', () => {
  it.each<[LayoutPreset, Source, readonly string[]]>([
    ['wechat-token-server', weixin, ['weixin']],
    ['wechat-token-server', generic, ['generic']],
    ['wxjava', weixin, ['wx:access_token:testappid']],
    ['wxjava', ticket, ['wx:ticket:key:testappid:jsapi']],
    ['wxjava', card, ['wx:ticket:key:testappid:wx_card']],
    ['wxjava', corp, ['wechat_cp_access_token_key:ww1']],
    ['wxjava', app, ['wechat_cp_access_token_key:ww1:1000002']],
    ['wxjava', corpTicket, ['wechat_cp_jsapi_ticket_key:ww1:1000002']],
    ['wxjava', appTicket, ['wechat_cp_agent_jsapi_ticket_key:ww1:1000002']],
    ['wxjava', platform, ['wechat_component_access_token:wxplatform']],
    ['wxjava', shop, ['wechat_authorizer_access_token:wxplatform:wxshop']],
    ['wxjava', shopTicket, ['wechat_jsapi_ticket:wxplatform:wxshop']],
    ['wechatpy', shop, []],
    ['wxjava', generic, []],
    ['wechatpy', weixin, ['wechatpy:testappid_access_token', 'wechatpy:testappid_access_token_expires_at']],
    ['wechatpy', ticket, ['wechatpy:testappid_jsapi_ticket', 'wechatpy:testappid_jsapi_ticket_expires_at']],
    ['wechatpy', card, ['wechatpy:testappid_jsapi_card_ticket', 'wechatpy:testappid_jsapi_card_ticket_expires_at']],
    ['wechatpy', corp, ['wechatpy:ww1_0123456789_access_token', 'wechatpy:ww1_0123456789_access_token_expires_at']],
    ['wechatpy', corpTicket, ['wechatpy:ww1_jsapi_ticket', 'wechatpy:ww1_jsapi_ticket_expires_at']],
    ['wechatpy', appTicket, ['wechatpy:ww1_agent_jsapi_ticket', 'wechatpy:ww1_agent_jsapi_ticket_expires_at']],
    [
      'silenceper',
      weixin,
      ['gowechat_officialaccount__access_token_testappid', 'gowechat_officialaccount__stable_access_token_testappid'],
    ],
    ['silenceper', ticket, ['gowechat_officialaccount__jsapi_ticket_testappid']],
    ['silenceper', corp, ['gowechat_work__access_token_ww1']],
    ['silenceper', app, ['gowechat_work__access_token_ww1_1000002']],
    ['silenceper', corpTicket, ['gowechat_work__corp_jsapi_ticket_ww1']],
    ['silenceper', appTicket, ['gowechat_work__agent_jsapi_ticket_ww1_1000002']],
    ['silenceper', card, []],
    // printf testappidtestsecret | md5sum
    ['powerwechat', weixin, ['powerwechat.access_token.4ed6a2e3bfccdf98beb48489b94cf486']],
    ['powerwechat', ticket, ['powerwechat.basic_service.jssdk.ticket.jsapi.testappid']],
    ['powerwechat', appTicket, []],
  ])('%s for $name', (preset, source, expected) => {
    expect(keys(preset, source)).toEqual(expected)
  })

  it('a preset whose readers have another prefix', () => {
    expect(keys('wxjava', weixin, 'wa')).toEqual(['wa:access_token:testappid'])
    expect(keys('wxjava', corp, 'shop')).toEqual(['shop:wechat_cp_access_token_key:ww1'])
    expect(keys('wechatpy', weixin, 'mine')[0]).toBe('mine:testappid_access_token')
    expect(keys('silenceper', weixin, 'gowechat_miniprogram_')[0]).toBe('gowechat_miniprogram__access_token_testappid')
  })
})

describe('the values of', () => {
  it('wechatpy are JSON, with the end in seconds beside the token', () => {
    expect(entries({ preset: 'wechatpy', prefix: null }, weixin).map(({ value }) => value)).toEqual([
      '"a\\"token"',
      '1800007200',
    ])
  })

  it('powerwechat are objects with the lifetime as a number', () => {
    const [of] = entries({ preset: 'powerwechat', prefix: null }, weixin)
    expect(JSON.parse(of?.value ?? '')).toEqual({ access_token: 'a"token', expires_in: 7_200 })
    const [ofTicket] = entries({ preset: 'powerwechat', prefix: null }, ticket)
    expect(JSON.parse(ofTicket?.value ?? '')).toEqual({
      errcode: 0,
      errmsg: 'ok',
      ticket: 'a"token',
      expires_in: 7_200,
    })
  })

  it.each(['wechat-token-server', 'wxjava', 'silenceper'] as const)('%s are the token as it is', (preset) => {
    expect(entries({ preset, prefix: null }, weixin).every(({ value }) => value === 'a"token')).toBe(true)
  })
})

describe('a template', () => {
  const of = (key: string, value: string, source = weixin): readonly KeyValue[] =>
    entries({ preset: null, key, value }, source)

  it('takes what a source has', () => {
    expect(of('k:{name}:{account}', '{token}|{version}|{issued_at}|{expires_at}')).toEqual([
      { key: 'k:weixin:testappid', value: 'a"token|7|1800000000|1800007200' },
    ])
    expect(of('{account}/{type}', '{token}', card)[0]?.key).toBe('testappid/wx_card')
  })

  it('that is JSON cannot be broken out of by a token', () => {
    expect(JSON.parse(of('k', '{"t":"{token}","v":{version}}')[0]?.value ?? '')).toEqual({ t: 'a"token', v: 7 })
    expect(JSON.parse(of('k', '{json}')[0]?.value ?? '')).toMatchObject({
      name: 'weixin',
      token: 'a"token',
      version: 7,
    })
  })

  it('leaves out a source that lacks what it names', () => {
    expect(of('k:{account}', '{token}', generic)).toEqual([])
    expect(of('k:{type}', '{token}')).toEqual([])
    expect(of('k', '{account}', generic)).toEqual([])
  })

  it('is not read twice', () => {
    const odd = { ...token, token: '{name}$&{constructor}' }
    const layout: SinkLayout = { preset: null, key: 'k', value: '{token}{constructor}' }
    expect(keysAndValues(layout, laidOut(weixin, []), odd)[0]?.value).toBe('{name}$&{constructor}{constructor}')
  })

  it.each([
    ['k:{name}:{account}:{type}', null],
    ['k:{token}', '{token}'],
    ['k:{Name}', '{Name}'],
    ['k:{}', '{}'],
    ['{tag}k', '{tag}'],
    ['k}', '}'],
    ['k{', '{'],
  ])('of a key such as %s may hold nothing else in braces', (template, wrong) => {
    expect(wrongWordInKey(template)).toBe(wrong)
  })
})
