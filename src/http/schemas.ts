/** The shapes of `wire/`, as zod schemas for the OpenAPI document. A test keeps them equal to the types. */
import { z } from 'zod'
import { verdicts } from '../callbacks/callback.ts'

const seconds = z.int().min(0)
const epochSeconds = z.int().min(0)
const upstream = z.strictObject({ errcode: z.union([z.string(), z.number()]), errmsg: z.string() })

const tokenShape = {
  name: z.string(),
  token: z.string(),
  expires_in: seconds.describe('Whole seconds for which a caller may rely on this token.'),
  expires_at: epochSeconds.describe(
    'When the token ends for callers, epoch seconds; never later than expires_in from now.',
  ),
  issued_at: epochSeconds,
  version: z.int().min(1),
  fields: z.record(z.string(), z.unknown()).describe("The upstream's whole answer."),
  stale: z
    .literal(true)
    .optional()
    .describe(
      'The token may be dead: this node has lost touch with the store, so it may have been replaced elsewhere, or two requests for a new one were left without an answer.',
    ),
}

export const tokenSchema = z.strictObject(tokenShape)

export const refreshSchema = z.strictObject({
  ...tokenShape,
  refreshed: z.boolean(),
  reason: z.enum(['not_current', 'recently_refreshed', 'unchanged', 'alive']).optional(),
})

export const refreshBodySchema = z.strictObject({
  stale: z
    .string()
    .min(1)
    .max(8_192)
    .optional()
    .describe('The token that failed: refresh only if it is still current.'),
})

export const sourceSchema = z.strictObject({
  name: z.string(),
  provider: z.string(),
  origin: z.enum(['file', 'store']),
  needs: z.array(z.string()),
  state: z.enum(['fresh', 'due', 'refreshing', 'in-doubt', 'failing', 'waiting', 'no-token', 'needs-authorization']),
  reason: z.string(),
  version: z.int().min(0),
  expires_in: seconds.nullable(),
  issued_at: epochSeconds.nullable(),
  next_refresh_in: seconds,
  attempts_today: z.int().min(0),
  daily_limit: z.int().min(0).nullable(),
  trouble: z
    .strictObject({
      class: z.string(),
      code: z.string(),
      message: z.string(),
      upstream: upstream.optional(),
      hint: z.string().optional(),
      count: z.int().min(1),
      since: epochSeconds,
    })
    .nullable(),
  conflict: z.boolean(),
  conflict_signs: z
    .strictObject({
      sign: z.enum(['refused', 'replaced']),
      deaths: z.int().min(1),
      since: epochSeconds,
      last: epochSeconds,
      hint: z.string(),
    })
    .optional()
    .describe('With conflict: how early tokens died, how often, since when, and what to do.'),
  authorized_at: epochSeconds.optional().describe('When a person last authorised it, where one did.'),
  authorize: z.string().optional().describe('With needs-authorization: where on this server a person mends that.'),
})

export const sourcesSchema = z.strictObject({ sources: z.array(sourceSchema), next: z.string().nullable() })

export const definitionSchema = z.record(z.string(), z.unknown())

export const problemSchema = z.strictObject({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int().min(400).max(599),
  code: z.string(),
  detail: z.string(),
  hint: z.string().optional(),
  upstream: upstream.optional(),
})

export const authorizeBodySchema = z.strictObject({
  device: z.enum(['desktop', 'mobile']).optional().describe('Whose page is wanted; otherwise the browser decides.'),
})

export const authorizeSchema = z.strictObject({
  url: z.string().describe('Whoever opens it may authorise the source. It is good once.'),
  expires_in: seconds,
})

export const healthSchema = z.strictObject({ status: z.enum(['ok', 'ready', 'not-ready']) })

/** An error as WeChat and WeCom tell it. */
export const wechatErrorSchema = z.strictObject({ errcode: z.int(), errmsg: z.string() })

export const wechatTokenSchema = z.strictObject({ access_token: z.string(), expires_in: seconds })

export const wechatTicketSchema = z.strictObject({
  errcode: z.literal(0),
  errmsg: z.literal('ok'),
  ticket: z.string(),
  expires_in: seconds,
})

export const componentTokenSchema = z.strictObject({ component_access_token: z.string(), expires_in: seconds })

export const authorizerTokenSchema = z.strictObject({
  authorizer_access_token: z.string(),
  expires_in: seconds,
  authorizer_refresh_token: z.string(),
})

/** What became of a part of the accounts that a platform lists. */
export const recoverySchema = z.strictObject({
  total: z.int().min(0).describe('Accounts that have authorised the source, as the platform tells it.'),
  next: z.int().min(0).nullable().describe('Where the next part begins; null: that was the last.'),
  made: z.int().min(0),
  mended: z.int().min(0),
  kept: z.int().min(0),
  failed: z.array(z.strictObject({ name: z.string(), detail: z.string() })),
})

export const wecomTokenSchema = z.strictObject({
  errcode: z.literal(0),
  errmsg: z.literal('ok'),
  access_token: z.string(),
  expires_in: seconds,
})

export const wecomSuiteTokenSchema = z.strictObject({
  errcode: z.literal(0),
  errmsg: z.literal('ok'),
  suite_access_token: z.string(),
  expires_in: seconds,
})

export const wecomProviderTokenSchema = z.strictObject({ provider_access_token: z.string(), expires_in: seconds })

/** An error of DingTalk's old stack: what its gateway refuses has the code that means something in `sub_code`. */
export const oldDingtalkErrorSchema = z.strictObject({
  errcode: z.int(),
  errmsg: z.string(),
  sub_code: z.string().optional(),
  sub_msg: z.string().optional(),
  request_id: z.string().optional(),
})

/** An error of DingTalk's new stack. */
export const dingtalkErrorSchema = z.strictObject({ code: z.string(), requestid: z.string(), message: z.string() })

export const dingtalkTokenSchema = z.strictObject({ accessToken: z.string(), expireIn: seconds })

export const dingtalkTicketSchema = z.strictObject({ jsapiTicket: z.string(), expireIn: seconds })

/** An error of Feishu and Lark. */
export const feishuErrorSchema = z.strictObject({ code: z.int(), msg: z.string() })

const feishuOk = { code: z.literal(0), msg: z.literal('ok') }

export const feishuTokenSchema = z.strictObject({
  ...feishuOk,
  app_access_token: z.string().optional(),
  tenant_access_token: z.string().optional(),
  expire: seconds,
})

export const feishuTicketSchema = z.strictObject({
  ...feishuOk,
  data: z.strictObject({ expire_in: seconds, ticket: z.string() }),
})

/** What the older token servers answer: an object with whatever the source yields. */
export const olderSchema = z.record(z.string(), z.unknown())

/** The last messages to a callback. */
export const callbackSchema = z.strictObject({
  name: z.string(),
  messages: z.array(
    z.strictObject({
      at: epochSeconds,
      verdict: z.enum(verdicts),
      type: z.string().nullable(),
      event: z.string().nullable(),
      account: z.string().nullable(),
      took_ms: z.int().min(0),
      forwards: z.array(
        z.strictObject({ to: z.string(), outcome: z.string(), status: z.int().nullable(), took_ms: z.int().min(0) }),
      ),
    }),
  ),
  refusals: z.array(z.strictObject({ reason: z.string(), count: z.int().min(1), last_at: epochSeconds })),
})

/** How the sinks of one node are doing. */
export const sinksSchema = z.strictObject({
  sinks: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['file', 'redis', 'webhook', 'kubernetes']),
      to: z.string(),
      state: z.enum(['ok', 'failing']),
      pending: z.int().min(0),
      delivered: z.int().min(0),
      failures: z.int().min(0).describe('Since the last success.'),
      trouble: z.strictObject({ since: epochSeconds, message: z.string() }).nullable(),
      last_delivered_at: epochSeconds.nullable(),
      dropped_count: z.int().min(0),
      dropped: z
        .array(
          z.strictObject({
            source: z.string(),
            version: z.int().min(1).nullable(),
            reason: z.enum(['superseded', 'expired', 'refused']),
            at: epochSeconds,
            message: z.string(),
          }),
        )
        .describe('What was not delivered and never will be; the newest first.'),
    }),
  ),
})

/** Schemas that the document names, so that each is written once. */
export const namedSchemas = {
  Token: tokenSchema,
  Refresh: refreshSchema,
  RefreshRequest: refreshBodySchema,
  Source: sourceSchema,
  Sources: sourcesSchema,
  Callback: callbackSchema,
  Authorize: authorizeSchema,
  AuthorizeRequest: authorizeBodySchema,
  Definition: definitionSchema,
  Recovery: recoverySchema,
  Problem: problemSchema,
  Health: healthSchema,
  WechatError: wechatErrorSchema,
  WechatToken: wechatTokenSchema,
  WechatTicket: wechatTicketSchema,
  ComponentToken: componentTokenSchema,
  AuthorizerToken: authorizerTokenSchema,
  WecomToken: wecomTokenSchema,
  WecomSuiteToken: wecomSuiteTokenSchema,
  WecomProviderToken: wecomProviderTokenSchema,
  OldDingtalkError: oldDingtalkErrorSchema,
  DingtalkError: dingtalkErrorSchema,
  DingtalkToken: dingtalkTokenSchema,
  DingtalkTicket: dingtalkTicketSchema,
  FeishuError: feishuErrorSchema,
  FeishuToken: feishuTokenSchema,
  FeishuTicket: feishuTicketSchema,
  OlderAnswer: olderSchema,
  Sinks: sinksSchema,
} as const
