/** An app-only token of Microsoft Entra ID (Azure AD), by a secret or a certificate: about an hour, many side by side. */
import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { forbidden, misconfigured } from '../error-table.ts'
import { fixed } from '../oauth2-endpoint.ts'
import { listOf, type Signer } from '../oauth2-settings.ts'
import { oauth2Semantics } from '../oauth2.ts'
import { baseUrl, identifier, problem, secret } from '../setting.ts'
import { privateKey } from '../signing-key.ts'
import { oauth2Preset } from './preset.ts'

const realHost = 'https://login.microsoftonline.com'

const certificate = z
  .string()
  .transform((text, context) => {
    try {
      return new X509Certificate(text.replaceAll('\\n', '\n'))
    } catch {
      problem(context, { en: 'This is no certificate in PEM', zh: '这不是 PEM 格式的证书' })
      return z.NEVER
    }
  })
  .describe('Instead of client_secret: the certificate of that key (PEM), as it was uploaded.')

const keys = z
  .strictObject({
    tenant: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/)
      .describe('The id of the tenant, or one of its domains.'),
    client_id: identifier('The id of the application.'),
    client_secret: secret('A client secret of it: the value, not the id.').optional(),
    private_key: privateKey(
      'Instead of client_secret: the private key of a certificate, best as file:PATH.',
      'PS256',
    ).optional(),
    certificate: certificate.optional(),
    scope: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .describe('RESOURCE/.default, such as https://graph.microsoft.com/.default.'),
    base_url: baseUrl(realHost, 'Where Microsoft is asked; national clouds have hosts of their own.'),
  })
  .superRefine(({ client_secret, private_key, certificate: shown }, context) => {
    if (client_secret !== undefined) {
      if (private_key === undefined && shown === undefined) return
      const path = [private_key === undefined ? 'certificate' : 'private_key']
      problem(
        context,
        { en: 'Use either `client_secret` or a certificate', zh: '`client_secret` 与证书只能使用其一' },
        path,
      )
    } else if (private_key === undefined || shown === undefined) {
      const key = private_key === undefined ? (shown === undefined ? 'client_secret' : 'private_key') : 'certificate'
      const fix = { en: `Add "${key}".`, zh: `请添加 "${key}"。` }
      problem(context, { en: `"${key}" is missing`, zh: `缺少 "${key}"`, fix }, [key])
    } else if (!shown.checkPrivateKey(private_key.reveal())) {
      problem(context, { en: 'The certificate is that of another key', zh: '证书与私钥不匹配' }, ['certificate'])
    }
  })

type Keys = z.output<typeof keys>

export const entra = oauth2Preset<Keys>({
  kind: 'entra',
  keys,
  settings: (written) => {
    const { tenant, client_id, client_secret, scope, base_url } = written
    const signer = signerOf(written)
    return {
      endpoint: fixed(`${base_url}/${tenant}/oauth2/v2.0/token`),
      auth: signer === null ? 'body' : 'private_key_jwt',
      clientId: client_id,
      clientSecret: client_secret ?? null,
      signer,
      scope: listOf(scope),
    }
  },
  account: ({ tenant, client_id }) => `${tenant}/${client_id}`,
  semantics: { ...oauth2Semantics, invalidTokenCodes: ['InvalidAuthenticationToken', 'invalid_token'] },
  fields: ['access_token', 'expires_in', 'ext_expires_in', 'refresh_in', 'token_type'],
  dialect: {
    codes: [['error_codes', '0']],
    errors: {
      7000215: misconfigured(
        'The client secret is wrong. Write its value, not its id.',
        'client_secret 不正确。应填写密码的值，而不是其 ID。',
      ),
      7000222: misconfigured('The client secret has expired: make a new one.', 'client_secret 已过期，请生成新的。'),
      700016: misconfigured(
        'This tenant has no such application: check `client_id` and `tenant`.',
        '该租户中没有此应用：请检查 `client_id` 与 `tenant`。',
      ),
      700027: misconfigured(
        'The signature is refused: upload this very certificate to the application.',
        '签名被拒绝：请将此证书上传到该应用。',
      ),
      90002: misconfigured('There is no such tenant.', '没有这个租户。'),
      70011: misconfigured('The scope must be RESOURCE/.default.', 'scope 必须是 资源/.default。'),
      500011: misconfigured('This tenant does not know the resource of the scope.', '该租户中没有 scope 所指的资源。'),
      53003: forbidden('A policy of conditional access denies it.', '被条件访问策略拒绝。'),
      9002313: misconfigured(
        'Microsoft does not understand the request: check `base_url`.',
        '请求格式不正确：请检查 `base_url`。',
      ),
      50196: {
        class: 'quota',
        waitMs: () => 300_000,
        hint: {
          en: 'Microsoft sees a loop: some program asks for this application again and again.',
          zh: '微软检测到循环请求：有程序在反复为该应用获取令牌。',
        },
      },
    },
  },
})

/** Microsoft knows a certificate by its thumbprint, and wants its own address as audience, whoever stands in for it. */
function signerOf({ private_key: key, certificate: shown, tenant, client_id, base_url }: Keys): Signer | null {
  if (key === undefined || shown === undefined) return null
  const thumbprint = Buffer.from(shown.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')
  const host = /^https:\/\/login\.[a-z.]+$/.test(base_url) ? base_url : realHost
  return {
    key,
    algorithm: 'PS256',
    header: { 'x5t#S256': thumbprint },
    issuer: client_id,
    audience: `${host}/${tenant}/oauth2/v2.0/token`,
    claims: {},
    lifetimeMs: 300_000,
  }
}
