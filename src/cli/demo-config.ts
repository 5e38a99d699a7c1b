/** The demo's upstream and its configuration: every kind of source, with lives short enough to be watched. */
import type { PartialKnobs, AccountSettings } from '../simulator/simulator.ts'

const wechat = { appid: 'wx0000000000000001', secret: 'demo-wechat-secret' }
const wecom = { corpid: 'ww0000000000000001', secret: 'demo-wecom-secret' }
const oauth = { client: 'demo-client', secret: 'demo-client-secret' }

/** One to two minutes; different for each, so that they do not all rotate at once. */
const lives = { wechat: 90, wecom: 120, oauth2: 60, generic: 75 }

const knobs = (ttlSeconds: number): PartialKnobs => ({ ttlSeconds })

export const demoUpstream: readonly AccountSettings[] = [
  { kind: 'wechat', id: wechat.appid, secret: wechat.secret, knobs: knobs(lives.wechat) },
  { kind: 'wecom', id: wecom.corpid, corpid: wecom.corpid, secret: wecom.secret, knobs: knobs(lives.wecom) },
  { kind: 'oauth2', id: oauth.client, secret: oauth.secret, knobs: knobs(lives.oauth2) },
  { kind: 'generic', id: 'demo', knobs: knobs(lives.generic) },
]

/** Where examples/jssdk.mjs shows its page. */
const pages = '"localhost:8890", "127.0.0.1:8890"'

/** The configuration as a user would write it, with the simulator in the platforms' place. */
export function demoConfig(upstreamUrl: string, port: number): string {
  return `server:
  listen: 127.0.0.1:${port}
store: "memory:"
sources:
  weixin:
    provider: wechat
    appid: ${wechat.appid}
    secret: ${wechat.secret}
    mode: classic
    base_url: ${upstreamUrl}
  weixin_jsticket:
    provider: wechat-ticket
    of: weixin
    type: jsapi
    domains: [${pages}]
    base_url: ${upstreamUrl}
  corp:
    provider: wecom
    corpid: ${wecom.corpid}
    secret: ${wecom.secret}
    base_url: ${upstreamUrl}
  corp_jsticket:
    provider: wecom-ticket
    of: corp
    type: jsapi
    domains: [${pages}]
    base_url: ${upstreamUrl}
  anything:
    provider: http
    url: ${upstreamUrl}/generic/demo
  oauth:
    provider: oauth2
    token_url: ${upstreamUrl}/oauth2/token
    client_id: ${oauth.client}
    client_secret: ${oauth.secret}
compat:
  tokenboy: true
`
}
