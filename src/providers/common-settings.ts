/** The keys that every source may have beside those of its provider: the refresh policy, and the platform's callback. */
import { z } from 'zod'
import { Secret } from '../base/secret.ts'
import { callRule } from '../model/call-rules.ts'
import type { Callback, CallbackScheme, ForwardTarget, RefreshPolicy, WrittenGateway } from '../model/source.ts'
import { duration, optionalBaseUrl, problem, secret, urlProblem } from './setting.ts'

const dayMs = 86_400_000
const yearMs = 365 * dayMs

function address(): z.ZodType<string> {
  return z.string().superRefine((value, context) => {
    const wrong = urlProblem(value)
    if (wrong !== null) problem(context, wrong)
  })
}

/** Proxies may need a name and a password, which go to the proxy and nowhere else. */
const proxy = z.string().superRefine((value, context) => {
  if (/^https?:\/\/[^/\s]/i.test(value) && URL.canParse(value)) return
  problem(context, {
    en: 'It must be the address of an HTTP proxy, such as http://10.0.0.2:3128',
    zh: '必须是 HTTP 代理的地址，如 http://10.0.0.2:3128',
  })
})

/** More proxies than this are of no use to one source. */
const proxiesMax = 16

const rule = z.string().superRefine((value, context) => {
  if (callRule.test(value)) return
  problem(context, {
    en: 'It must be a path such as /cgi-bin/user/*, or a method and a path such as GET /cgi-bin/*',
    zh: '必须是路径（如 /cgi-bin/user/*），或方法加路径（如 GET /cgi-bin/*）',
  })
})

const gateway = z
  .union([
    z.literal(false),
    z.strictObject({
      base_url: optionalBaseUrl('Where calls go. Default: where the platform itself is asked.'),
      allow: z.array(rule).optional().describe('Only these calls: paths, or METHOD and path; * matches anything.'),
      deny: z.array(rule).default([]).describe('Never these calls.'),
      per_second: z.number().min(0.01).max(100_000).optional().describe('Calls in a second, of all callers together.'),
    }),
  ])
  .optional()
  .describe('How ordinary calls are passed on with the token put in; false: not at all.')

const aesKey = z
  .string()
  .superRefine((value, context) => {
    if (/^[A-Za-z0-9+/]{43}$/.test(value)) return
    problem(context, { en: 'It must be the 43 characters that the platform shows', zh: '必须是平台给出的 43 位字符' })
  })
  .transform((value) => new Secret(value))

/** Addresses to which one message goes at most. */
const targetsMax = 8

const oneOf = (what: string) => z.array(z.string().min(1)).min(1).optional().describe(what)

const target = z.strictObject({
  to: address().describe('Where the message goes.'),
  types: oneOf('Only messages of these types (MsgType).'),
  events: oneOf('Only these events (Event, InfoType, EventType).'),
  appids: oneOf('Only messages about these accounts (appid, corpid).'),
})

const common = {
  token: secret('The token that the platform signs its callbacks with.'),
  forward: z
    .array(z.union([address(), target]))
    .max(targetsMax)
    .default([])
    .describe('Where messages that are not for this server go; the first one that wants a message may answer it.'),
  max_age: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(300)
    .describe('Seconds for which a callback is fresh; 0 is no limit. Default: 300'),
}

const sealed = z.strictObject({
  ...common,
  encoding_aes_key: aesKey.describe('The key of encrypted callbacks (EncodingAESKey), 43 characters.'),
})

/** The keys of `callback`, by how the platform calls. WeCom and DingTalk send nothing that is not encrypted. */
export const callbackSchemas = {
  wechat: z.strictObject({
    ...common,
    encoding_aes_key: aesKey
      .optional()
      .describe('The key of encrypted callbacks (EncodingAESKey), 43 characters. With it, plain ones are refused.'),
  }),
  wecom: sealed,
  dingtalk: sealed,
  feishu: z.strictObject({
    ...common,
    encrypt_key: secret('The Encrypt Key. With it, plain callbacks are refused.').optional(),
  }),
} as const satisfies Record<CallbackScheme, z.ZodObject>

export const policySchema = z.strictObject({
  refresh_before: duration('Refresh this long before the end.', 0, yearMs).optional(),
  min_interval: duration(
    'A token younger than this is not refreshed again because somebody reported it. Default: 30s',
    0,
    dayMs,
  ).prefault('30s'),
  daily_limit: z.number().int().min(1).optional().describe('Issues in 24 hours. Default: what the upstream allows.'),
  overlap: duration('How long a replaced token still works. Default: what the upstream grants.', 0, yearMs).optional(),
  timeout: duration('Time of one request, from the first byte to the last. Default: 8s', 100, 60_000).prefault('8s'),
  proxy: z
    .union([proxy, z.array(proxy).min(1).max(proxiesMax)])
    .optional()
    .describe('An HTTP proxy for the requests of this source; of several, tokens are asked for through the first.'),
  gateway,
})

/** Milliseconds, under the names of the model. */
export function policyOf(written: z.output<typeof policySchema>): RefreshPolicy {
  const { refresh_before, min_interval, daily_limit, overlap, timeout, proxy: through, gateway: passing } = written
  const proxies = typeof through === 'string' ? [through] : (through ?? [])
  const [first] = proxies
  return {
    minIntervalMs: min_interval,
    timeoutMs: timeout,
    ...(refresh_before === undefined ? {} : { refreshBeforeMs: refresh_before }),
    ...(daily_limit === undefined ? {} : { dailyLimit: daily_limit }),
    ...(overlap === undefined ? {} : { overlapMs: overlap }),
    ...(first === undefined ? {} : { proxy: first }),
    ...(proxies.length < 2 ? {} : { proxies }),
    ...(passing === undefined ? {} : { gateway: passing === false ? null : passedOn(passing) }),
  }
}

type Passing = Exclude<z.output<typeof gateway>, false | undefined>

function passedOn({ base_url, allow, deny, per_second }: Passing): WrittenGateway {
  const rules = { allow: allow ?? null, deny, perSecond: per_second ?? null }
  return base_url === undefined ? rules : { ...rules, baseUrl: base_url }
}

/** The keys of `callback` where the platform calls like that. */
export function callbackSchemaOf({ scheme, isSealed }: CalledBack): (typeof callbackSchemas)[CallbackScheme] {
  return isSealed === true ? sealed : callbackSchemas[scheme]
}

type CalledBack = { readonly scheme: CallbackScheme; readonly isSealed?: true }

type WrittenCallback = z.output<(typeof callbackSchemas)[CallbackScheme]>

/** The callback of a source whose platform calls by `scheme` and ends what it encrypts in one of `receiveIds`. */
export function callbackOf(written: WrittenCallback, scheme: CallbackScheme, receiveIds: readonly string[]): Callback {
  const aesKey =
    'encrypt_key' in written
      ? written.encrypt_key
      : 'encoding_aes_key' in written
        ? written.encoding_aes_key
        : undefined
  return {
    scheme,
    token: written.token,
    aesKey: aesKey ?? null,
    receiveIds,
    forward: written.forward.map(targetOf),
    maxAgeSeconds: written.max_age,
  }
}

function targetOf(written: string | z.output<typeof target>): ForwardTarget {
  const { to, types, events, appids } = typeof written === 'string' ? { to: written } : written
  return { to, types: types ?? null, events: events ?? null, accounts: appids ?? null }
}
