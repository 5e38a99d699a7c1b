/** The accounts that authorised a third-party platform: one by the code that an authorisation brings, all by WeChat's list. */
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import type { Failed } from '../model/failure.ts'
import { unknown } from './outcome.ts'
import type { Accounts, Call, Listed, Proof, Redeemed } from './provider.ts'
import { ownComponent, type PageSettings } from './wechat-login-page.ts'
import { askComponent, isFailed } from './wechat-open-call.ts'
import { issuedAuthorizer } from './wechat-authorizer-answer.ts'

/** So many accounts WeChat tells at once. */
const pageSize = 500
/** A whole page of them is larger than any token answer, in bytes. */
const pageBytesMax = 1_048_576

/** What may be a part of a source's name. */
const accountName = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,63}$/

export async function redeemCode(settings: PageSettings, call: Call, { code }: Proof): Promise<Redeemed> {
  const question = { api: 'api_query_auth', body: { authorization_code: code }, secrets: [code] }
  const told = await askComponent(ownComponent(settings, call), question, call, ({ authorization_info: found }) =>
    isJsonObject(found) ? { found } : unknown('token_unusable', 'the answer holds no authorization_info'),
  )
  if (isFailed(told)) return { attempt: told }
  const { found } = told
  const account = nameOf(found.authorizer_appid)
  if (account === null) return { attempt: unknown('token_unusable', 'the answer names no account') }
  const attempt = issuedAuthorizer(found)
  if (attempt.outcome === 'issued' && attempt.issued.grant === undefined) {
    return { attempt: unknown('token_unusable', 'the answer holds no usable token at /authorizer_refresh_token') }
  }
  return { attempt, child: { account, definition: definitionOf(account) } }
}

export async function listAuthorizers(
  settings: PageSettings,
  call: Call,
  offset: number,
): Promise<Accounts | { readonly refused: Failed }> {
  const question = { api: 'api_get_authorizer_list', body: { offset, count: pageSize }, bytesMax: pageBytesMax }
  const told = await askComponent(ownComponent(settings, call), question, call, ({ total_count: total, list }) =>
    Array.isArray(list) && typeof total === 'number'
      ? { total, list: list as readonly Json[] }
      : unknown('token_unusable', 'the answer holds no list of accounts'),
  )
  if (isFailed(told)) return { refused: told }
  const { total, list } = told
  const accounts = list.flatMap((each) => (isJsonObject(each) ? (listed(each) ?? []) : []))
  const next = offset + list.length
  return { accounts, total, next: list.length === 0 || next >= total ? null : next }
}

function listed({ authorizer_appid, refresh_token }: JsonObject): Listed | null {
  const account = nameOf(authorizer_appid)
  if (account === null) return null
  const grant = typeof refresh_token === 'string' && refresh_token !== '' ? refresh_token : null
  return { account, definition: definitionOf(account), grant }
}

/** An account as it is a part of a source's name; null for what cannot be one. */
export function nameOf(appid: Json | undefined): string | null {
  return typeof appid === 'string' && accountName.test(appid) ? appid : null
}

/** As little as can be, because there may be a million of them. */
export function definitionOf(appid: string): JsonObject {
  return { provider: 'wechat-authorizer', appid }
}
