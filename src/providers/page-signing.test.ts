/** What tickets sign, and for whom, as their definitions say it. */
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../base/json.ts'
import { parseSource } from './catalogue.ts'

const above: Readonly<Record<string, JsonObject>> = {
  weixin: { provider: 'wechat', appid: 'wx1', secret: 's' },
  corp: { provider: 'wecom', corpid: 'ww1', secret: 's', agentid: 1000002 },
  ding: { provider: 'dingtalk', appkey: 'dk1', secret: 's' },
  feishu: { provider: 'feishu', app_id: 'cli_1', secret: 's' },
}

const parsed = (definition: JsonObject): ReturnType<typeof parseSource> =>
  parseSource('ticket', definition, 'file', (name) => above[name])

describe('what a ticket signs', () => {
  test.each<[JsonObject, object]>([
    [
      { provider: 'wechat-ticket', of: 'weixin' },
      { scheme: 'wechat', domains: [] },
    ],
    [
      { provider: 'wechat-ticket', of: 'weixin', type: 'wx_card', appid: 'wx2' },
      { scheme: 'wechat-card', domains: [], account: 'wx2' },
    ],
    [
      { provider: 'wechat-ticket', of: 'weixin', domains: ['Shop.Example.com', '*.例子.cn'] },
      { scheme: 'wechat', domains: ['shop.example.com', '*.xn--fsqu00a.cn'] },
    ],
    [
      { provider: 'wecom-ticket', of: 'corp' },
      { scheme: 'wecom', domains: [], agentId: '1000002' },
    ],
    [
      { provider: 'wecom-ticket', of: 'corp', type: 'agent_config', agentid: '7', corpid: 'ww2' },
      { scheme: 'wecom-agent', domains: [], account: 'ww2', agentId: '7' },
    ],
    [
      { provider: 'dingtalk-ticket', of: 'ding', corpid: 'ding1', agentid: 9 },
      { scheme: 'dingtalk', domains: [], account: 'ding1', agentId: '9' },
    ],
    [
      { provider: 'feishu-ticket', of: 'feishu', app_id: 'cli_2' },
      { scheme: 'feishu', domains: [], account: 'cli_2' },
    ],
  ])('%j', (definition, signing) => {
    const read = parsed(definition)
    expect(read.ok ? read.source.signing : read.issues).toEqual(signing)
  })

  test('nothing, where a source is no ticket', () => {
    const read = parseSource('weixin', above.weixin!, 'file')
    expect(read.ok && 'signing' in read.source).toBe(false)
  })

  test('domains change no token: the identity is the same', () => {
    const [one, other] = [[], ['a.cn']].map((domains) => parsed({ provider: 'wechat-ticket', of: 'weixin', domains }))
    expect(one?.ok && other?.ok && one.source.identity === other.source.identity).toBe(true)
  })
})

test.each(['https://shop.example.com', '*', '*.com', 'shop.example.com/pay', ''])(
  'the domain %j is refused at its place, in both languages',
  (domain) => {
    const read = parsed({ provider: 'wechat-ticket', of: 'weixin', domains: ['a.cn', domain] })
    expect(read.ok ? [] : read.issues.map(({ path }) => path)).toEqual([['domains', 1]])
    const [issue] = read.ok ? [] : read.issues
    expect(issue?.message.en).toContain('It must be a domain')
    expect(issue?.message.zh).toContain('必须是域名')
  },
)
