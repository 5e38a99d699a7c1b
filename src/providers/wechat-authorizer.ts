/**
 * The authorizer_access_token of an account that authorised a third-party platform of WeChat's Open Platform. It is asked
 * with the platform's token and a refresh token, which WeChat tells again when it was lost.
 */
import { z } from 'zod'
import { isJsonObject } from '../base/json.ts'
import type { Attempt, Failed } from '../model/failure.ts'
import type { GrantSemantics, Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { rejected, unknown } from './outcome.ts'
import type { Call, Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, sourceReference } from './setting.ts'
import { authorizerFields, issuedAuthorizer } from './wechat-authorizer-answer.ts'
import { askComponent, componentOf, componentPost, isFailed, refusalOf, type Component } from './wechat-open-call.ts'
import { wechatHost } from './wechat.ts'

type Settings = { readonly of: string; readonly appid: string; readonly base_url: string }

const graceMs = 300_000
/** The profile of an account may come along, in bytes. */
const profileBytesMax = 262_144

/** The refresh token stays the same until the account authorises anew; where it changed, the one before is taken for a while. */
const refreshToken: GrantSemantics = {
  rotates: 'may',
  graceMs,
  isRecoverable: true,
  missing: {
    code: 'authorization_missing',
    message: 'the account does not authorise the third-party platform (any more)',
    hint: {
      en: 'Let the administrator of the account authorise the platform (again), by the link of the wechat-component source.',
      zh: '请让该账号的管理员通过 wechat-component 来源的授权链接（重新）授权。',
    },
  },
}

export const authorizerSemantics: Semantics = {
  reissue: 'retires-previous',
  graceMs,
  windowMs: 0,
  grant: refreshToken,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { query: 'access_token' },
  invalidTokenCodes: [40001, 40014, 42001],
  limitCodes: [45009, 45011],
  addressCodes: [40164],
}

export const provider: Provider<Settings> = {
  kind: 'wechat-authorizer',
  schema: z.strictObject({
    of: sourceReference('The wechat-component source that the account has authorised.'),
    appid: identifier('The appid of the account.'),
    base_url: baseUrl(wechatHost, 'Where WeChat is asked; as for the source named by `of` when left out.'),
  }),
  parent: { key: 'of', kinds: ['wechat-component'], inherits: ['base_url', 'proxy'] },
  offspring: {
    jsapi: { provider: 'wechat-ticket', type: 'jsapi' },
    wx_card: { provider: 'wechat-ticket', type: 'wx_card' },
  },
  api: ({ base_url }) => base_url,
  fields: authorizerFields,
  needs: ({ of }) => [of],
  semantics: () => authorizerSemantics,
  identity: ({ appid, base_url }) => `wechat-authorizer:${placeOf(base_url)}/${appid}`,
  credential: () => null,
  account: ({ appid }) => appid,
  issue: async ({ of, appid, base_url }, call) => {
    const component = componentOf(of, base_url, call)
    if (isFailed(component)) return component
    const account: Account = { component, appid }
    const known = call.grant ?? null
    if (known !== null) {
      const attempt = await askWith(account, known, call)
      if (!isInvalid(attempt)) return attempt
      const told = await askForGrant(account, call)
      // The same again, or none: then the refusal stands.
      if (isFailed(told)) return isAboutAccount(told) ? attempt : told
      return told.grant === known ? attempt : await askWith(account, told.grant, call)
    }
    const told = await askForGrant(account, call)
    return isFailed(told) ? told : await askWith(account, told.grant, call)
  },
}

type Account = { readonly component: Component; readonly appid: string }

/** Asks once with a refresh token; what is issued holds the one to ask with next, unless it is the one that we have. */
async function askWith({ component, appid }: Account, grant: string, call: Call): Promise<Attempt> {
  const body = { authorizer_appid: appid, authorizer_refresh_token: grant }
  return await ask(componentPost(component, 'api_authorizer_token', body), call, (answer): Attempt => {
    const holdsToken = Object.hasOwn(answer.body, 'authorizer_access_token')
    const failed = refusalOf(component, answer, { secrets: [grant], call, holdsToken })
    return failed ?? withGrant(issuedAuthorizer(answer.body), grant, call)
  })
}

/** A refresh token that was told again by another call is kept also where this answer leaves it out. */
function withGrant(attempt: Attempt, grant: string, call: Call): Attempt {
  if (attempt.outcome !== 'issued' || attempt.issued.grant !== undefined || call.grant === grant) return attempt
  return { ...attempt, issued: { ...attempt.issued, grant: { value: grant, lifetimeMs: null } } }
}

/**
 * Asks which refresh token the account has. Nothing is issued by that, and nothing was before it: whatever goes wrong is
 * tried again, and puts no token in doubt.
 */
async function askForGrant({ component, appid }: Account, call: Call): Promise<{ readonly grant: string } | Failed> {
  const question = { api: 'api_get_authorizer_info', body: { authorizer_appid: appid }, bytesMax: profileBytesMax }
  const told = await askComponent(component, question, call, ({ authorization_info: found }) => {
    const grant = isJsonObject(found) ? found.authorizer_refresh_token : undefined
    if (typeof grant === 'string' && grant !== '') return { grant }
    return unknown('token_unusable', 'the answer holds no usable token at /authorization_info/authorizer_refresh_token')
  })
  if (!isFailed(told) || told.outcome !== 'unknown') return told
  const { message } = told.failure
  return rejected({
    class: 'transient',
    code: 'grant_not_told',
    message: `the refresh token could not be asked for: ${message}`,
  })
}

/** 61023: the refresh token is none (any more), while the authorisation may live. */
function isInvalid(attempt: Attempt): boolean {
  return attempt.outcome === 'rejected' && attempt.failure.upstream?.errcode === 61023
}

function isAboutAccount(failed: Failed): boolean {
  return failed.outcome === 'rejected' && failed.class === 'needs-authorization'
}
