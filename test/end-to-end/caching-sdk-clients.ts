/**
 * More clients that other people wrote, unmodified: those that keep a token for what they are told, in a cache that may
 * be looked into. Their types are large or none, so the little that is used of each is described here.
 */
import { createRequire } from 'node:module'
import type { JsConfig } from './sdk-clients.ts'

const require = createRequire(import.meta.url)

/** What a library wrote into its cache: the value and the seconds for which it is kept; 0 is for ever. */
export type Kept = { readonly value: string; readonly seconds: number }

/** `node-easywechat`: its cache takes seconds. */
export type EasyWechat = {
  token(): Promise<string>
  ticket(): Promise<string>
  jsConfig(url: string): Promise<JsConfig>
  readonly kept: readonly Kept[]
}

type EasyCache = {
  get(id: string): Promise<unknown>
  has(id: string): Promise<boolean>
  set(id: string, data: string, seconds?: number): Promise<boolean>
  delete(id: string): Promise<boolean>
}

type EasyApplication = {
  setCache(cache: EasyCache): void
  getAccessToken(): { getToken(): Promise<string> }
  getTicket(): { getTicket(): Promise<string> }
  getUtils(): { buildJsSdkConfig(url: string): Promise<JsConfig> }
}

type EasyConstructor = new (config: Readonly<Record<string, unknown>>) => EasyApplication

const easy = require('node-easywechat') as { OfficialAccount: EasyConstructor; Work: EasyConstructor }

function easyClient(app: EasyApplication): EasyWechat {
  const kept: Kept[] = []
  const values = new Map<string, string>()
  app.setCache({
    get: (id) => Promise.resolve(values.get(id) ?? null),
    has: (id) => Promise.resolve(values.has(id)),
    set: (id, value, seconds = 0) => {
      kept.push({ value, seconds })
      values.set(id, value)
      return Promise.resolve(true)
    },
    delete: (id) => Promise.resolve(values.delete(id)),
  })
  return {
    token: () => app.getAccessToken().getToken(),
    ticket: () => app.getTicket().getTicket(),
    jsConfig: (url) => app.getUtils().buildJsSdkConfig(url),
    kept,
  }
}

export function easyWechat(base: string, appid: string, secret: string, isStable: boolean): EasyWechat {
  const http = { baseURL: `${base}/` }
  return easyClient(new easy.OfficialAccount({ app_id: appid, secret, use_stable_access_token: isStable, http }))
}

export function easyWork(base: string, corpid: string, secret: string): EasyWechat {
  return easyClient(new easy.Work({ corp_id: corpid, secret, http: { baseURL: `${base}/` } }))
}

/** `wechat-jssdk`: keeps token and ticket for 119 minutes, whatever it is told, unless it is made to ask. */
export type WechatJssdk = {
  getSignature(url: string, isForced?: boolean): Promise<JsConfig>
  getGlobalTokenAndTicket(isForced: boolean): Promise<unknown>
}

const jssdk = require('wechat-jssdk') as {
  Wechat: new (options: Readonly<Record<string, unknown>>) => { readonly jssdk: WechatJssdk }
  Store: new () => object
}

export function wechatJssdk(base: string, appid: string, secret: string): WechatJssdk {
  const options = {
    appId: appid,
    appSecret: secret,
    wechatRedirectUrl: `${base}/unused`,
    accessTokenUrl: `${base}/cgi-bin/token`,
    ticketUrl: `${base}/cgi-bin/ticket/getticket`,
    store: new jssdk.Store(),
  }
  return new jssdk.Wechat(options).jssdk
}

/** `@larksuiteoapi/node-sdk`: its cache takes the instant at which it ends. */
export type Lark = {
  token(): Promise<string>
  /** The ticket has no method of its own: it is an ordinary call, with the token in its header. */
  ticket(): Promise<string>
  readonly kept: readonly Kept[]
}

type LarkCache = {
  get(key: string | symbol): Promise<unknown>
  set(key: string | symbol, value: unknown, endsAt?: number): Promise<boolean>
}

type LarkConstructor = new (options: Readonly<Record<string, unknown>>) => {
  readonly tokenManager: { getTenantAccessToken(): Promise<string> }
  request(call: { readonly url: string; readonly method: string }): Promise<{ readonly data: { ticket: string } }>
}

const lark = require('@larksuiteoapi/node-sdk') as { Client: LarkConstructor; LoggerLevel: { readonly error: number } }

export function larkClient(base: string, appId: string, appSecret: string): Lark {
  const kept: Kept[] = []
  const values = new Map<unknown, { readonly value: unknown; readonly endsAt: number }>()
  const cache: LarkCache = {
    get: (key) => {
      const found = values.get(key)
      return Promise.resolve(found !== undefined && found.endsAt > Date.now() ? found.value : undefined)
    },
    set: (key, value, endsAt = Infinity) => {
      kept.push({ value: String(value), seconds: (endsAt - Date.now()) / 1_000 })
      values.set(key, { value, endsAt })
      return Promise.resolve(true)
    },
  }
  const client = new lark.Client({ appId, appSecret, domain: base, cache, loggerLevel: lark.LoggerLevel.error })
  return {
    token: () => client.tokenManager.getTenantAccessToken(),
    ticket: async () => (await client.request({ url: '/open-apis/jssdk/ticket/get', method: 'POST' })).data.ticket,
    kept,
  }
}
