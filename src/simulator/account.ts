/** The accounts an upstream knows: apps of WeChat, WeCom, DingTalk and Feishu, an OAuth 2.0 client, a generic token address, a platform. */
import { z } from 'zod'
import type { Json } from '../base/json.ts'
import { partialKnobsSchema } from './knobs.ts'
import { platformNames } from './platforms/names.ts'

const text = z.string().min(1).max(512)
/** Ids stand in addresses and headers, so they are visible ASCII. */
const id = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, 'an id is made of visible ASCII characters')
const knobs = partialKnobsSchema.optional()
const json: z.ZodType<Json> = z.json()

/** The key that verifies what the account signs. */
const publicKey = z
  .string()
  .max(16_384)
  .regex(/-----BEGIN [A-Z ]*PUBLIC KEY-----/, 'a public key is written as PEM')

const wechat = z.strictObject({
  kind: z.literal('wechat'),
  /** The appid. */
  id,
  secret: text,
  /** Only an official account has an IP allow-list. */
  type: z.enum(['official', 'mini']).default('official'),
  knobs,
})

/** Where and with what a platform pushes. */
const callback = z
  .strictObject({
    url: z.url(),
    /** What it signs with. */
    token: text,
    /** EncodingAESKey, or Feishu's Encrypt Key. */
    key: text,
  })
  .optional()

const wechatComponent = z.strictObject({
  kind: z.literal('wechat-component'),
  /** The appid of the third-party platform. */
  id,
  secret: text,
  callback,
  /** Tickets are pushed from the beginning; false: once `api_start_push_ticket` was called. */
  pushing: z.boolean().default(true),
  /** Appids that its page for authorising offers. */
  offers: z.array(id).max(1_000).readonly().default(['wx0000000000000002', 'wx0000000000000003']),
  knobs,
})

const wecom = z
  .strictObject({
    kind: z.literal('wecom'),
    /** Default: the corpid. Needed when a corp has several apps. */
    id: id.optional(),
    corpid: id,
    /** Each app of a corp has its own secret, and so its own token. */
    secret: text,
    knobs,
  })
  .transform((account) => ({ ...account, id: account.id ?? account.corpid }))

const dingtalk = z.strictObject({
  kind: z.literal('dingtalk'),
  /** The app key. */
  id,
  secret: text,
  knobs,
})

const wecomProvider = z.strictObject({
  kind: z.literal('wecom-provider'),
  /** The corpid of the service provider. */
  id,
  secret: text,
  knobs,
})

const wecomSuite = z.strictObject({
  kind: z.literal('wecom-suite'),
  /** The suite id. */
  id,
  secret: text,
  callback,
  knobs,
})

const dingtalkSuite = z.strictObject({
  kind: z.literal('dingtalk-suite'),
  /** The suite key. */
  id,
  secret: text,
  callback,
  knobs,
})

const feishuStore = z.strictObject({
  kind: z.literal('feishu-store'),
  /** The app id of the store app. */
  id,
  secret: text,
  callback,
  knobs,
})

const feishu = z.strictObject({
  kind: z.literal('feishu'),
  /** The app id; real ones begin with `cli_`. */
  id,
  secret: text,
  knobs,
})

const oauth2 = z.strictObject({
  kind: z.literal('oauth2'),
  /** The client id. */
  id,
  /** Absent: it proves itself by its key, or is public. */
  secret: text.optional(),
  public_key: publicKey.optional(),
  /** Scopes it may ask for; absent: any. */
  scopes: z.array(text).max(100).optional(),
  /** Where people may be sent back to; absent: anywhere. */
  redirect_uris: z.array(text).max(100).optional(),
  knobs,
})

const demand = z.strictObject({
  in: z.enum(['query', 'header', 'body']),
  name: text,
  /** The exact value wanted; absent: any that is not empty. */
  value: z.string().max(4_096).optional(),
  /** The id of an account: the value must be one of its living tokens. */
  tokenOf: id.optional(),
})

const generic = z.strictObject({
  kind: z.literal('generic'),
  /** Its address is `/generic/{id}`. */
  id,
  demands: z.array(demand).max(20).default([]),
  /** Where the token stands in the answer; dots go deeper. */
  tokenField: text.default('access_token'),
  /** Where and how the answer says when the token ends; null: it does not. */
  expiry: z
    .strictObject({
      field: text.default('expires_in'),
      as: z
        .enum(['seconds', 'seconds-text', 'milliseconds', 'epoch-seconds', 'epoch-milliseconds', 'iso'])
        .default('seconds'),
    })
    .nullable()
    .default({ field: 'expires_in', as: 'seconds' }),
  /** What else stands in a good answer, such as `{"errcode": 0}`. */
  success: z.record(z.string(), json).default({}),
  /** How it refuses. */
  failure: z
    .strictObject({
      status: z.number().int().min(200).max(599).default(200),
      codeField: text.default('errcode'),
      textField: text.default('errmsg'),
    })
    .default({ status: 200, codeField: 'errcode', textField: 'errmsg' }),
  knobs,
})

const platform = z.strictObject({
  kind: z.literal('platform'),
  /** Its address is `/platform/{platform}`. */
  platform: z.enum(platformNames),
  /** By what the platform knows the account: a client id, an app key, GitHub's installation. */
  id,
  secret: text.optional(),
  /** The other half of its name: vivo's appKey, Zoom's account id, Entra's tenant, GitHub's app. */
  second: text.optional(),
  public_key: publicKey.optional(),
  knobs,
})

export const accountSchema = z.discriminatedUnion('kind', [
  wechat,
  wechatComponent,
  wecom,
  wecomProvider,
  wecomSuite,
  dingtalk,
  dingtalkSuite,
  feishu,
  feishuStore,
  oauth2,
  generic,
  platform,
])

/** An account as it is written. */
export type AccountSettings = z.input<typeof accountSchema>
/** An account with its defaults filled in. */
export type Account = z.output<typeof accountSchema>
export type AccountOf<K extends Account['kind']> = Extract<Account, { kind: K }>

/** Who exists when nobody said otherwise. */
export const demoAccounts: readonly AccountSettings[] = [
  { kind: 'wechat', id: 'wx0000000000000001', secret: 'demo-wechat-secret' },
  { kind: 'wecom', id: 'ww0000000000000001', corpid: 'ww0000000000000001', secret: 'demo-wecom-secret' },
  { kind: 'dingtalk', id: 'ding000000000001', secret: 'demo-dingtalk-secret' },
  { kind: 'feishu', id: 'cli_000000000001', secret: 'demo-feishu-secret' },
  { kind: 'oauth2', id: 'demo-client', secret: 'demo-client-secret' },
  { kind: 'generic', id: 'demo' },
]
