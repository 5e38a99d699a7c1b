/**
 * Clients other people wrote, unmodified, pointed at a base URL the way their own options allow. They are old and have no
 * types, so the little that is used of each is described here; those with callbacks become promises.
 */
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

const require = createRequire(import.meta.url)

/** The error all three throw for an upstream's refusal. */
export type SdkError = Error & { readonly code: number }

export type JsConfig = {
  readonly appId: string
  readonly timestamp: string
  readonly nonceStr: string
  readonly signature: string
}

export type CardExt = { readonly timestamp: string; readonly signature: string }

type SavedToken = { readonly accessToken: string; readonly expireTime: number }
type Callback<T> = (error: Error | null, value?: T) => void

/** `co-wechat-api`: promises, and a request of its own that fetches a new token when it is told 40001. */
export type CoWechat = {
  prefix: string
  getAccessToken(): Promise<SavedToken>
  ensureAccessToken(): Promise<{ readonly accessToken: string }>
  getTicket(type?: string): Promise<{ readonly ticket: string; readonly expireTime: number }>
  getJsConfig(page: { readonly url: string }): Promise<JsConfig>
  getCardExt(card: { readonly card_id: string }): Promise<CardExt>
  request(url: string): Promise<unknown>
}

type CoWechatConstructor = new (
  appid: string,
  secret: string,
  getToken?: () => Promise<SavedToken | null>,
  saveToken?: (token: SavedToken | null) => Promise<void>,
) => CoWechat

const CoWechatApi = require('co-wechat-api') as CoWechatConstructor

export type TokenKeeping = {
  readonly getToken: () => Promise<SavedToken | null>
  readonly saveToken: (token: SavedToken | null) => Promise<void>
}

export function coWechat(base: string, appid: string, secret: string, keeping?: TokenKeeping): CoWechat {
  const api = new CoWechatApi(appid, secret, keeping?.getToken, keeping?.saveToken)
  api.prefix = `${base}/cgi-bin/`
  return api
}

export type OldWechat = {
  token(): Promise<string>
  ticket(): Promise<string>
  jsConfig(url: string): Promise<JsConfig>
  cardExt(cardId: string): Promise<CardExt>
}

type WechatApiConstructor = new (
  appid: string,
  secret: string,
) => {
  endpoint: string
  prefix: string
  getLatestToken(callback: Callback<SavedToken>): void
  getLatestTicket(callback: Callback<{ readonly ticket: string }>): void
  getJsConfig(page: { readonly url: string }, callback: Callback<JsConfig>): void
  getCardExt(card: { readonly card_id: string }, callback: Callback<CardExt>): void
}

const WechatApi = require('wechat-api') as WechatApiConstructor

/** `wechat-api`: the callback generation. */
export function oldWechat(base: string, appid: string, secret: string): OldWechat {
  const api = new WechatApi(appid, secret)
  api.endpoint = base
  api.prefix = `${base}/cgi-bin/`
  return {
    token: async () => told(await promisify(api.getLatestToken.bind(api))()).accessToken,
    ticket: async () => told(await promisify(api.getLatestTicket.bind(api))()).ticket,
    jsConfig: async (url) => told(await promisify(api.getJsConfig.bind(api))({ url })),
    cardExt: async (cardId) => told(await promisify(api.getCardExt.bind(api))({ card_id: cardId })),
  }
}

export type EnterpriseWechat = Pick<OldWechat, 'token' | 'ticket' | 'jsConfig'>

type EnterpriseConstructor = new (
  corpid: string,
  secret: string,
  agentid: number,
) => {
  prefix: string
  getLatestToken(callback: Callback<{ readonly accessToken: string }>): void
  getTicket(callback: Callback<{ readonly ticket: string }>): void
  getJsConfig(page: { readonly url: string }, callback: Callback<JsConfig>): void
}

const EnterpriseApi = require('wechat-enterprise-api') as EnterpriseConstructor

/** `wechat-enterprise-api`: WeCom, callbacks. */
export function enterpriseWechat(base: string, corpid: string, secret: string): EnterpriseWechat {
  const api = new EnterpriseApi(corpid, secret, 1)
  api.prefix = `${base}/cgi-bin/`
  return {
    token: async () => told(await promisify(api.getLatestToken.bind(api))()).accessToken,
    ticket: async () => told(await promisify(api.getTicket.bind(api))()).ticket,
    jsConfig: async (url) => told(await promisify(api.getJsConfig.bind(api))({ url })),
  }
}

function told<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the SDK called back with nothing')
  return value
}

/** `node-easywechat` for third-party platforms: the tokens of the platform and of accounts that authorised it. */
export type OpenPlatformSdk = {
  getComponentAccessToken(): { getToken(): Promise<string> }
  refreshAuthorizerToken(appid: string, refreshToken: string): Promise<Readonly<Record<string, unknown>>>
  getVerifyTicket(): { setTicket(ticket: string): Promise<unknown> }
}

type OpenPlatformSettings = { readonly appid: string; readonly secret: string; readonly ticket: string }

type OpenPlatformConstructor = new (config: {
  readonly app_id: string
  readonly secret: string
  readonly token: string
  readonly aes_key: string
  readonly http: { readonly baseURL: string }
}) => OpenPlatformSdk & { setCache(cache: object): unknown }

const { OpenPlatform } = require('node-easywechat') as { readonly OpenPlatform: OpenPlatformConstructor }

export async function openPlatform(base: string, settings: OpenPlatformSettings): Promise<OpenPlatformSdk> {
  const { appid, secret, ticket } = settings
  const http = { baseURL: `${base}/` }
  const sdk = new OpenPlatform({ app_id: appid, secret, token: 't', aes_key: 'a'.repeat(43), http })
  const kept = new Map<string, unknown>()
  sdk.setCache({
    get: (key: string) => Promise.resolve(kept.get(key) ?? null),
    set: (key: string, value: unknown) => Promise.resolve(kept.set(key, value).size > 0),
    has: (key: string) => Promise.resolve(kept.has(key)),
    delete: (key: string) => Promise.resolve(kept.delete(key)),
  })
  await sdk.getVerifyTicket().setTicket(ticket)
  return sdk
}
