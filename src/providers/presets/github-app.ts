/** The token of a GitHub App's installation: an hour, told as an instant, and many side by side. */
import { z } from 'zod'
import type { Json, JsonObject } from '../../base/json.ts'
import { sha256 } from '../../base/secret.ts'
import { signed } from '../assertion.ts'
import { forbidden, misconfigured } from '../error-table.ts'
import { baseUrl, numericIdentifier } from '../setting.ts'
import { privateKey } from '../signing-key.ts'
import { httpPreset, sideBySide } from './preset.ts'

/** GitHub refuses assertions that end more than ten minutes from now, or that begin after its own now. */
const assertionMs = 540_000
const backdatedMs = 60_000

const keys = z.strictObject({
  app_id: numericIdentifier('The id of the app, or its client id.'),
  installation_id: z
    .union([z.string().regex(/^\d{1,20}$/), z.number().int().nonnegative()])
    .transform(String)
    .describe('The id of the installation: the number at the end of the address of its settings.'),
  private_key: privateKey('A private key of the app (PEM), best as file:PATH.', 'RS256'),
  repositories: z.array(z.string().min(1)).min(1).optional().describe('Only these repositories. Default: all of them.'),
  permissions: z
    .record(z.string(), z.enum(['read', 'write', 'admin']))
    .optional()
    .describe('Only these permissions. Default: all that the installation has.'),
  base_url: baseUrl(
    'https://api.github.com',
    'Where GitHub is asked; https://HOST/api/v3 for GitHub Enterprise Server.',
  ),
})

type Keys = z.output<typeof keys>

export const githubApp = httpPreset<Keys>({
  kind: 'github-app',
  keys,
  definition: (written) => ({
    url: `${written.base_url}/app/installations/${written.installation_id}/access_tokens`,
    method: 'POST',
    headers: {
      authorization: 'Bearer {{values.assertion}}',
      accept: 'application/vnd.github+json',
      'user-agent': 'zhongkong',
      'x-github-api-version': '2022-11-28',
    },
    body: narrowed(written),
    token: '/token',
    expires_at: '/expires_at',
    error_message: '/message',
  }),
  made: {
    names: ['assertion'],
    make: async ({ app_id, private_key }, env) => {
      const assertion = { key: private_key, algorithm: 'RS256', header: {}, issuer: app_id, claims: {} }
      // GitHub counts both ends by its own clock, which may be behind.
      const lifetimeMs = assertionMs + backdatedMs
      return { assertion: await signed({ ...assertion, lifetimeMs, backdatedMs }, env) }
    },
  },
  account: (written) => {
    const narrowedTo = JSON.stringify(narrowed(written))
    const part = narrowedTo === '{}' ? 'all' : sha256(narrowedTo).toString('hex').slice(0, 12)
    return `${written.app_id}/${part}`
  },
  semantics: { ...sideBySide, fallbackTtlMs: 3_540_000, invalidTokenCodes: [401] },
  api: ({ base_url }) => base_url,
  fields: ['token', 'expires_at', 'permissions', 'repository_selection', 'repositories'],
  errors: {
    'HTTP 401': misconfigured(
      'GitHub does not believe the app: check `app_id` and `private_key`, and the clock of this machine.',
      'GitHub 不认可该应用：请检查 `app_id` 与 `private_key`，以及本机时钟。',
    ),
    'HTTP 403': forbidden(
      'GitHub does not let this installation have a token: it may be suspended, or calls are limited.',
      'GitHub 不允许该安装获取令牌：可能已被暂停，或调用受限。',
    ),
    'HTTP 404': misconfigured(
      'This app has no such installation: check `installation_id`; it may have been uninstalled.',
      '该应用没有此安装：请检查 `installation_id`，也可能已被卸载。',
    ),
    'HTTP 422': misconfigured(
      'The installation does not have these `repositories` or `permissions`.',
      '该安装没有这些 `repositories` 或 `permissions`。',
    ),
  },
})

function narrowed({ repositories, permissions }: Keys): JsonObject {
  return {
    ...(repositories === undefined ? {} : { repositories: repositories.toSorted() }),
    ...(permissions === undefined ? {} : { permissions: sorted(permissions) }),
  }
}

function sorted(record: Readonly<Record<string, Json>>): JsonObject {
  return Object.fromEntries(Object.entries(record).toSorted(([left], [right]) => (left < right ? -1 : 1)))
}
