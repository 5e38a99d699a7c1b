/** An access token of a Google service account, by a signed assertion (RFC 7523): an hour, and many side by side. */
import { z } from 'zod'
import { parsedObject, type JsonObject } from '../../base/json.ts'
import { forbidden, type ErrorRow } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { listOf } from '../oauth2-settings.ts'
import { oauth2Semantics } from '../oauth2.ts'
import { identifier, problem, urlProblem, type Problem } from '../setting.ts'
import { privateKey, readSigningKey, SigningKey } from '../signing-key.ts'
import { oauth2Preset } from './preset.ts'

const realTokenUrl = 'https://oauth2.googleapis.com/token'
/** Google refuses assertions that are valid for longer, in milliseconds. */
const lifetimeMs = 3_600_000

type Account = { readonly email: string; readonly key: SigningKey; readonly keyId: string | null }

const howToGetOne = {
  en: 'Write "file:PATH" of the JSON key that Google gave for this service account.',
  zh: '请写 "file:路径"，指向 Google 为该服务账号生成的 JSON 密钥文件。',
}

const credentials = z
  .string()
  .min(1)
  .transform((text, context): Account => {
    const read = readCredentials(text)
    if ('email' in read) return read
    problem(context, read)
    return z.NEVER
  })
  .describe('The JSON key of the service account, best as file:PATH.')

const keys = z
  .strictObject({
    credentials: credentials.optional(),
    client_email: identifier('Instead of credentials: the address of the service account.').optional(),
    private_key: privateKey('Instead of credentials: its private key.', 'RS256').optional(),
    key_id: identifier('Instead of credentials: the id of that key.').optional(),
    scope: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).describe('The scope, or a list of them.'),
    subject: z.string().min(1).optional().describe('The user in whose name is asked (domain-wide delegation).'),
    token_url: z
      .string()
      .default(realTokenUrl)
      .superRefine((value, context) => {
        const wrong = urlProblem(value)
        if (wrong !== null) problem(context, wrong)
      })
      .describe(`Where Google is asked. Default: ${realTokenUrl}`),
  })
  .transform((written, context) => {
    const { scope, subject, token_url } = written
    return { account: accountOf(written, context), scope: listOf(scope), subject, token_url }
  })

export const googleServiceAccount = oauth2Preset({
  kind: 'google-service-account',
  keys,
  settings: ({ account: { email, key, keyId }, scope, subject, token_url }) => {
    // Google reads the scope from the assertion, and wants its own address there, whoever stands in for it.
    const claims: JsonObject = { scope: scope.join(' ') }
    const header: Readonly<Record<string, string>> = keyId === null ? {} : { kid: keyId }
    const signer = {
      key,
      algorithm: 'RS256',
      header,
      issuer: email,
      subject,
      audience: realTokenUrl,
      claims,
      lifetimeMs,
    }
    return { endpoint: fixed(token_url), grant: 'jwt_bearer', auth: 'none', signer }
  },
  account: ({ account: { email } }) => email,
  semantics: { ...oauth2Semantics, invalidTokenCodes: ['invalid_token', 'UNAUTHENTICATED'] },
  fields: ['access_token', 'expires_in', 'token_type'],
  dialect: {
    errors: {
      invalid_grant: refusedGrant(),
      unauthorized_client: forbidden(
        'This service account may not act for that user with these scopes. Allow it in the Workspace admin console (domain-wide delegation).',
        '该服务账号无权以这些 scope 代表该用户。请在 Workspace 管理控制台开启全网域授权。',
      ),
    },
  },
})

/** Google has one word for all that may be wrong with an assertion; its text tells them apart. */
function refusedGrant(): ErrorRow {
  const clock = {
    en: 'Google finds the assertion out of time: set the clock of this machine.',
    zh: 'Google 认为断言已过期或尚未生效：请校准本机时钟。',
  }
  const key = {
    en: 'Google does not know this key any more: make a new one for the service account.',
    zh: 'Google 已不认可该密钥：请为服务账号生成新的密钥。',
  }
  const who = {
    en: 'Google does not know this service account, or the user that `subject` names.',
    zh: 'Google 找不到该服务账号，或 `subject` 指定的用户。',
  }
  return {
    class: 'configuration',
    hint: (errmsg) => (/short-lived|iat|exp/i.test(errmsg) ? clock : /account|user|email/i.test(errmsg) ? who : key),
  }
}

type Written = {
  readonly credentials?: Account | undefined
  readonly client_email?: string | undefined
  readonly private_key?: SigningKey | undefined
  readonly key_id?: string | undefined
}

function accountOf(written: Written, context: z.RefinementCtx): Account {
  const { credentials: whole, client_email, private_key, key_id } = written
  if (whole !== undefined) {
    const twice = (['client_email', 'private_key', 'key_id'] as const).find((key) => written[key] !== undefined)
    if (twice === undefined) return whole
    problem(context, { en: '`credentials` says this already', zh: '`credentials` 中已包含该内容' }, [twice])
    return z.NEVER
  }
  const missing =
    private_key === undefined ? (client_email === undefined ? 'credentials' : 'private_key') : 'client_email'
  if (client_email === undefined || private_key === undefined) {
    problem(context, { en: `"${missing}" is missing`, zh: `缺少 "${missing}"`, fix: howToGetOne }, [missing])
    return z.NEVER
  }
  return { email: client_email, key: private_key, keyId: key_id ?? private_key.id }
}

function readCredentials(text: string): Account | Problem {
  const file = parsedObject(text)
  if (file === null) {
    return { en: 'This is no JSON key of a service account', zh: '这不是服务账号的 JSON 密钥', fix: howToGetOne }
  }
  const { type, client_email: email, private_key: pem, private_key_id: keyId } = file
  if (type !== 'service_account' || typeof email !== 'string' || typeof pem !== 'string') {
    return {
      en: 'This is JSON, but not the key of a service account',
      zh: '这是 JSON，但不是服务账号的密钥',
      fix: howToGetOne,
    }
  }
  const key = readSigningKey(pem, 'RS256')
  if (!(key instanceof SigningKey)) return key
  return { email, key, keyId: typeof keyId === 'string' ? keyId : null }
}
