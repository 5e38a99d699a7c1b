/**
 * The component_access_token of a third-party platform (第三方平台) of WeChat's Open Platform: asked with a ticket that
 * WeChat pushes every ten minutes. Accounts that authorise the platform are sources under it (`wechat-authorizer.ts`).
 */
import { z } from 'zod'
import type { Json, JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import type { Message, Push } from '../model/message.ts'
import type { GrantSemantics, Semantics } from '../model/semantics.ts'
import { ask } from './ask.ts'
import { isNoError, judgeBadStatus, judgeErrcodeAnswer } from './errcode-answer.ts'
import { refused } from './error-table.ts'
import { rejected } from './outcome.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, optionalBaseUrl, placeOf, secret } from './setting.ts'
import { definitionOf, listAuthorizers, nameOf, redeemCode } from './wechat-authorizers.ts'
import { loginPage } from './wechat-login-page.ts'
import { openPost } from './wechat-open-call.ts'
import { componentTokenErrors } from './wechat-open-errors.ts'
import { wechatHost } from './wechat.ts'

type Settings = {
  readonly appid: string
  readonly secret: Secret
  readonly auth_type: 1 | 2 | 3
  readonly base_url: string
  readonly page_url?: string | undefined
}

const minuteMs = 60_000
/** What WeChat says of its tickets. */
const ticketLivesMs = 12 * 60 * minuteMs

const ticket: GrantSemantics = {
  rotates: 'never',
  graceMs: 0,
  pushedEveryMs: 10 * minuteMs,
  missing: {
    code: 'ticket_missing',
    message: 'WeChat has not pushed a component_verify_ticket in the last twelve hours',
    hint: {
      en: 'WeChat pushes one every ten minutes. Enter https://YOUR-HOST/callback/NAME as the URL for authorisation events, with the token and key of `callback`, and see GET /v1/callbacks/NAME for what arrives.',
      zh: '微信每十分钟推送一次。请把 https://您的域名/callback/来源名称 填写为“授权事件接收 URL”，其 Token 与密钥须与 `callback` 一致，并用 GET /v1/callbacks/来源名称 查看收到的内容。',
    },
  },
}

/** Whether a replaced token lives on is not documented, so nobody is told to rely on it. */
export const componentSemantics: Semantics = {
  reissue: 'retires-previous',
  graceMs: 0,
  windowMs: 0,
  grant: ticket,
  limits: {},
  fallbackTtlMs: 5 * minuteMs,
  inject: { query: 'component_access_token' },
  invalidTokenCodes: [40001, 40014, 42001, 42006],
  limitCodes: [45009, 45011],
  addressCodes: [40164, 61004],
}

export const provider: Provider<Settings> = {
  kind: 'wechat-component',
  schema: z.strictObject({
    appid: identifier('The appid of the third-party platform.'),
    secret: secret('Its AppSecret.'),
    auth_type: z
      .union([z.literal(1), z.literal(2), z.literal(3)])
      .default(3)
      .describe('Who may authorise on its page: 1 Official Accounts, 2 Mini Programs, 3 both. Default: 3'),
    base_url: baseUrl(wechatHost, 'Where WeChat is asked.'),
    page_url: optionalBaseUrl('Where the pages for authorising are. Default: those of WeChat.'),
  }),
  callback: { scheme: 'wechat', isSealed: true, receiveIds: ({ appid }) => [appid] },
  api: ({ base_url }) => base_url,
  fields: ['component_access_token', 'expires_in'],
  needs: () => [],
  semantics: () => componentSemantics,
  identity: ({ appid, base_url }) => `wechat-component:${placeOf(base_url)}/${appid}`,
  credential: ({ appid, secret }) => ({ account: appid, secret }),
  issue: async ({ appid, secret, base_url }, call) => {
    const { grant } = call
    if (grant == null) {
      const { message, hint } = ticket.missing
      return rejected({ class: 'needs-authorization', code: 'grant_missing', message, hint })
    }
    const [component_appsecret, component_verify_ticket] = [secret.reveal(), grant]
    const body = { component_appid: appid, component_appsecret, component_verify_ticket }
    return await ask(openPost(`${base_url}/cgi-bin/component/api_component_token`, body), call, (answer) =>
      judgeErrcodeAnswer(answer, {
        field: 'component_access_token',
        errors: componentTokenErrors,
        secrets: [component_appsecret, component_verify_ticket],
        now: call.env.clock.now(),
      }),
    )
  },
  readMessage,
  authorization: {
    isAskedWithToken: true,
    isEnteredByClick: true,
    codeParameter: 'auth_code',
    link: loginPage,
    redeem: redeemCode,
    list: listAuthorizers,
  },
  askForPush: async ({ appid, secret, base_url }, call) => {
    // This one call names the secret otherwise.
    const body = { component_appid: appid, component_secret: secret.reveal() }
    return await ask(openPost(`${base_url}/cgi-bin/component/api_start_push_ticket`, body), call, (answer) => {
      const { errcode, errmsg } = answer.body
      if (isNoError(errcode)) return answer.status >= 400 ? judgeBadStatus(answer.status, false) : null
      const now = call.env.clock.now()
      return refused({ errcode, errmsg, table: componentTokenErrors, secrets: [body.component_secret], now })
    })
  },
}

/** What is about another platform than this one, or lacks what it must have, is for others. */
function readMessage({ appid }: Settings, { fields, createdAt }: Message): Push {
  if (textOf(fields.AppId) !== appid) return { kind: 'none' }
  switch (textOf(fields.InfoType)) {
    case 'component_verify_ticket':
      return ticketIn(fields, createdAt)
    case 'authorized':
    case 'updateauthorized': {
      const code = textOf(fields.AuthorizationCode)
      const account = nameOf(fields.AuthorizerAppid)
      if (code === '') return { kind: 'none' }
      return {
        kind: 'authorized',
        code,
        ...(account === null ? {} : { child: { account, definition: definitionOf(account) } }),
      }
    }
    case 'unauthorized': {
      const child = nameOf(fields.AuthorizerAppid)
      return child === null ? { kind: 'none' } : { kind: 'revoked', child, at: createdAt }
    }
    default:
      return { kind: 'none' }
  }
}

/** Without the time of its making nobody could tell it from an older one. */
function ticketIn(fields: JsonObject, createdAt: number | null): Push {
  const value = textOf(fields.ComponentVerifyTicket)
  if (createdAt === null || !/^[\x21-\x7e]{1,512}$/.test(value)) return { kind: 'none' }
  return { kind: 'grant', value, at: createdAt, livesMs: ticketLivesMs }
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value.trim() : ''
}
