/** What may be written in an `oauth2` source, and how it is read. */
import { z } from 'zod'
import type { JsonObject } from '../base/json.ts'
import type { Secret } from '../base/secret.ts'
import { discovered, fixed, issuerProblem, type Find, type TokenEndpoint } from './oauth2-endpoint.ts'
import { duration, placeOf, problem, secret, urlProblem, type Problem } from './setting.ts'
import { algorithms, privateKey, type SigningKey } from './signing-key.ts'

export type GrantName =
  'client_credentials' | 'jwt_bearer' | 'account_credentials' | 'refresh_token' | 'authorization_code'
export type ClientAuth = 'basic' | 'body' | 'private_key_jwt' | 'none'

/** A key with all that is said with it. */
export type Signer = {
  readonly key: SigningKey
  readonly algorithm: string
  readonly header: Readonly<Record<string, string>>
  /** Absent: the client id. */
  readonly issuer?: string | undefined
  readonly subject?: string | undefined
  /** Absent: the token endpoint. */
  readonly audience?: string | undefined
  readonly claims: JsonObject
  readonly lifetimeMs: number
}

/** What a person once granted, and how it lives on. */
export type Refreshing = {
  /** The refresh token of the configuration; null where a person brings the first one. */
  readonly seed: Secret | null
  readonly rotation: 'may' | 'always' | 'never'
  readonly graceMs: number
  /** Where people are sent; null where another refresh token comes by the configuration only. */
  readonly authorization: Find | null
  /** What is added to the address that they are sent to. */
  readonly authorizationParams: Readonly<Record<string, string>>
  readonly pkce: boolean
}

export type Oauth2Settings = {
  readonly endpoint: TokenEndpoint
  readonly grant: GrantName
  readonly auth: ClientAuth
  readonly clientId: string
  readonly clientSecret: Secret | null
  readonly signer: Signer | null
  /** With refresh_token and authorization_code; null with all others. */
  readonly refreshing: Refreshing | null
  readonly scope: readonly string[]
  readonly audience: readonly string[]
  readonly resource: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly fallbackTtlMs: number
}

const texts = z.union([z.string(), z.array(z.string())])

/** Parameters that have keys of their own, so that nothing is sent twice. */
const ownParameters = [
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'assertion',
  'refresh_token',
  'code',
  'code_verifier',
  'redirect_uri',
  'scope',
  'audience',
  'resource',
]

/** The same for the address that people are sent to. */
const ownAuthorizationParameters = [
  'response_type',
  'client_id',
  'redirect_uri',
  'state',
  'scope',
  'audience',
  'resource',
  'code_challenge',
  'code_challenge_method',
]

function parameters(own: readonly string[]) {
  const key = z.string().superRefine((name, context) => {
    if (!own.includes(name)) return
    problem(context, {
      en: `Write "${name}" one level higher, where it has a key of its own, or leave it to this server`,
      zh: `"${name}" 有专用的配置项，请写在上一层，或由本服务器填写`,
    })
  })
  return z.record(key, z.union([z.string(), z.number(), z.boolean()]).transform(String))
}

function endpointUrl() {
  return z.string().superRefine((value, context) => {
    const wrong = urlProblem(value)
    if (wrong !== null) problem(context, wrong)
  })
}

/** Claims that have keys of their own, and instants that only a clock can tell. */
const ownClaims = ['iss', 'sub', 'aud', 'iat', 'exp', 'jti']

const assertion = z.strictObject({
  issuer: z.string().min(1).optional().describe('Who asserts (`iss`). Default: the client id.'),
  subject: z.string().min(1).optional().describe('For whom a token is asked (`sub`). Default: nobody else.'),
  audience: z.string().min(1).optional().describe('Who shall believe it (`aud`). Default: the token endpoint.'),
  claims: z
    .record(
      z.string().superRefine((key, context) => {
        if (!ownClaims.includes(key)) return
        problem(context, {
          en: `"${key}" is set by a key of its own, or by the clock`,
          zh: `"${key}" 由专用的配置项或时钟设定`,
        })
      }),
      z.unknown(),
    )
    .prefault({})
    .describe('More claims.'),
  lifetime: duration('How long it is valid. Default: 5m', 10_000, 3_600_000).prefault('5m'),
})

const written = z.strictObject({
  token_url: endpointUrl().optional().describe('The token endpoint.'),
  issuer: z
    .string()
    .superRefine((value, context) => {
      const wrong = issuerProblem(value)
      if (wrong !== null) problem(context, wrong)
    })
    .optional()
    .describe('The issuer, instead of token_url: where its token endpoint is, its metadata say.'),
  client_id: z.string().min(1).optional().describe('The id of the client at that server.'),
  client_secret: secret('Its secret.').optional(),
  grant: z
    .enum(['client_credentials', 'jwt_bearer', 'refresh_token', 'authorization_code'])
    .default('client_credentials')
    .describe('The grant. With authorization_code a person authorises it: zhongkong authorize NAME.'),
  auth: z
    .enum(['basic', 'body', 'private_key_jwt', 'none'])
    .optional()
    .describe('How the client proves itself. Default: basic; with jwt_bearer and no client_secret: none.'),
  private_key: privateKey('The key that assertions are signed with: PEM or JWK, best as file:PATH.').optional(),
  key_id: z.string().min(1).optional().describe('The id of that key (`kid`). Default: that of a JWK.'),
  algorithm: z.enum(algorithms).optional().describe('How is signed. Default: what suits the key; RS256 for RSA.'),
  assertion: assertion.prefault({}).describe('What an assertion says, for jwt_bearer and private_key_jwt.'),
  scope: texts.optional().describe('The scope, or a list of them.'),
  audience: texts.optional().describe('For servers that want to know for whom the token is.'),
  resource: texts.optional().describe('The same by RFC 8707.'),
  params: parameters(ownParameters).prefault({}).describe('More parameters of the request.'),
  refresh_token: secret('The first refresh token, for refresh_token and authorization_code.').optional(),
  rotation: z
    .enum(['may', 'always', 'never'])
    .optional()
    .describe('Whether a refresh brings another refresh token in place of the one it used. Default: may'),
  grace: duration(
    'For so long the server takes a refresh token again that was used. Default: 0',
    0,
    86_400_000,
  ).optional(),
  authorization_url: endpointUrl()
    .optional()
    .describe('Where people authorise (the authorization endpoint). Default: what the issuer says.'),
  authorization_params: parameters(ownAuthorizationParameters)
    .optional()
    .describe('More parameters of that address, such as access_type: offline.'),
  pkce: z.enum(['S256', 'none']).optional().describe('How the code is bound to who asked for it. Default: S256'),
  fallback_ttl: duration('Lifetime assumed when the answer tells none. Default: 5m', 1_000, 86_400_000 * 365).prefault(
    '5m',
  ),
})

type Written = z.output<typeof written>

export const oauth2Schema: z.ZodType<Oauth2Settings> = written.transform((values, context) => {
  const auth = values.auth ?? (values.grant === 'jwt_bearer' && values.client_secret === undefined ? 'none' : 'basic')
  const endpoint = endpointOf(values, context)
  checkProof(values, auth, context)
  return {
    endpoint,
    grant: values.grant,
    auth,
    clientId: values.client_id ?? '',
    clientSecret: values.client_secret ?? null,
    signer: signerOf(values, context),
    refreshing: refreshingOf(values, endpoint, context),
    scope: listOf(values.scope),
    audience: listOf(values.audience),
    resource: listOf(values.resource),
    params: values.params,
    fallbackTtlMs: values.fallback_ttl,
  }
})

export function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : [value].flat()
}

function endpointOf({ token_url, issuer }: Written, context: z.RefinementCtx): TokenEndpoint {
  if (token_url !== undefined && issuer !== undefined) {
    problem(context, { en: 'Use either `token_url` or `issuer`', zh: '`token_url` 与 `issuer` 只能使用其一' }, [
      'issuer',
    ])
  }
  if (token_url !== undefined) return fixed(token_url)
  if (issuer !== undefined) return discovered(issuer)
  missing(context, 'token_url')
  return fixed('https://nowhere.invalid')
}

/** What each way of asking cannot do without. */
function checkProof(values: Written, auth: ClientAuth, context: z.RefinementCtx): void {
  const signs = auth === 'private_key_jwt' || values.grant === 'jwt_bearer'
  if (signs && values.private_key === undefined) missing(context, 'private_key')
  if ((auth === 'basic' || auth === 'body') && values.client_secret === undefined) missing(context, 'client_secret')
  const isNamed = auth === 'none' && values.grant === 'jwt_bearer' && values.assertion.issuer !== undefined
  if (values.client_id === undefined && !isNamed) missing(context, 'client_id')
  if (signs || values.private_key === undefined) return
  const text = {
    en: 'Nothing is signed with this key',
    zh: '没有用到该私钥',
    fix: {
      en: 'Add `auth: private_key_jwt` or `grant: jwt_bearer`.',
      zh: '请添加 `auth: private_key_jwt` 或 `grant: jwt_bearer`。',
    },
  }
  problem(context, text, ['private_key'])
}

/** Keys that say something only where a person granted what is refreshed. */
const refreshingKeys = [
  'refresh_token',
  'rotation',
  'grace',
  'authorization_url',
  'authorization_params',
  'pkce',
] as const

function refreshingOf(values: Written, endpoint: TokenEndpoint, context: z.RefinementCtx): Refreshing | null {
  const { grant, refresh_token: seed, authorization_url: url } = values
  if (grant !== 'refresh_token' && grant !== 'authorization_code') {
    for (const key of refreshingKeys) if (values[key] !== undefined) problem(context, onlyWithPerson(key), [key])
    return null
  }
  const authorization = url === undefined ? (endpoint.findAuthorization ?? null) : fixed(url).find
  if (grant === 'refresh_token' && seed === undefined) missing(context, 'refresh_token')
  if (grant === 'authorization_code' && authorization === null) missing(context, 'authorization_url')
  return {
    seed: seed ?? null,
    rotation: values.rotation ?? 'may',
    graceMs: values.grace ?? 0,
    authorization,
    authorizationParams: values.authorization_params ?? {},
    pkce: values.pkce !== 'none',
  }
}

function onlyWithPerson(key: string): Problem {
  const fix = {
    en: 'Add `grant: refresh_token` or `grant: authorization_code`.',
    zh: '请添加 `grant: refresh_token` 或 `grant: authorization_code`。',
  }
  return { en: `"${key}" says nothing with this grant`, zh: `"${key}" 对此授权方式没有意义`, fix }
}

function missing(context: z.RefinementCtx, key: string): void {
  const fix = { en: `Add "${key}".`, zh: `请添加 "${key}"。` }
  problem(context, { en: `"${key}" is missing`, zh: `缺少 "${key}"`, fix }, [key])
}

function signerOf(values: Written, context: z.RefinementCtx): Signer | null {
  const { private_key: key, key_id, assertion: told } = values
  if (key === undefined) return null
  const [usual = ''] = key.algorithms
  const algorithm = values.algorithm ?? usual
  if (!key.algorithms.includes(algorithm)) {
    const able = key.algorithms.join(', ')
    const fix = { en: `This key signs with ${able}.`, zh: `该私钥可用的算法：${able}。` }
    problem(context, { en: `The key cannot sign with ${algorithm}`, zh: `该私钥不能使用 ${algorithm} 签名`, fix }, [
      'algorithm',
    ])
  }
  const id = key_id ?? key.id
  const { issuer, subject, audience, claims, lifetime } = told
  return {
    key,
    algorithm,
    header: id === null ? {} : { kid: id },
    issuer,
    subject,
    audience,
    claims: claims as JsonObject,
    lifetimeMs: lifetime,
  }
}

/** The place of the server, for identities: the same whether it was named or found. */
export function oauth2Place({ endpoint }: Oauth2Settings): string {
  return placeOf(endpoint.name)
}
