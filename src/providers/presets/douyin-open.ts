/** What Douyin's open platform (抖音开放平台) answers to both of its client token calls. */
import { z } from 'zod'
import type { JsonObject } from '../../base/json.ts'
import type { Secret } from '../../base/secret.ts'
import { misconfigured, type ErrorTable } from '../error-table.ts'
import { baseUrl, identifier, secret } from '../setting.ts'

export type DouyinKeys = { readonly client_key: string; readonly client_secret: Secret; readonly base_url: string }

export const douyinKeys: z.ZodType<DouyinKeys> = z.strictObject({
  client_key: identifier('The client key of the application.'),
  client_secret: secret('Its client secret.'),
  base_url: baseUrl('https://open.douyin.com', 'Where Douyin is asked.'),
})

export function douyinDefinition(base_url: string, path: string): JsonObject & { readonly url: string } {
  return {
    url: `${base_url}${path}`,
    body: {
      client_key: '{{values.client_key}}',
      client_secret: '{{values.client_secret}}',
      grant_type: 'client_credential',
    },
    token: '/data/access_token',
    expires_in: '/data/expires_in',
    error: '/data/error_code',
    error_message: '/data/description',
  }
}

export const douyinErrors: ErrorTable = {
  10002: misconfigured(
    'Douyin does not understand the request. Something on the way changes it: check `base_url` and proxies.',
    '抖音无法识别该请求，可能在途中被改动：请检查 `base_url` 与代理。',
  ),
  10003: misconfigured('The client key is wrong.', 'client_key 不正确。'),
  10013: misconfigured('The client secret is wrong, or was reset.', 'client_secret 不正确，或已被重置。'),
  10020: {
    class: 'quota',
    waitMs: () => 300_000,
    hint: {
      en: 'More than 500 calls in five minutes. Another program may be asking for the same application.',
      zh: '五分钟内调用超过 500 次，可能有其他程序在为同一应用获取令牌。',
    },
  },
}

export const douyinFields = ['data', 'message'] as const

/** 500 calls in five minutes. */
export const douyinLimits = { perMinute: 100 } as const
/** The token goes into a header of its own, without a word before it. */
export const douyinInject = { header: 'access-token', prefix: '' } as const
export const douyinInvalidTokenCodes = [2190008, 10008] as const
