/**
 * A preset is a known upstream as data over the `http` or the `oauth2` provider: the keys that people write, the request
 * that they make, what asking again does, and what its error codes mean. It behaves like any other provider.
 */
import type { z } from 'zod'
import type { Env } from '../../base/env.ts'
import type { JsonObject } from '../../base/json.ts'
import { Secret } from '../../base/secret.ts'
import type { Semantics } from '../../model/semantics.ts'
import type { ErrorTable } from '../error-table.ts'
import { httpSchema, type HttpSettings } from '../http-settings.ts'
import { issueByHttp } from '../http.ts'
import type { Dialect } from '../oauth2-answer.ts'
import { oauth2Place, type Oauth2Settings } from '../oauth2-settings.ts'
import { issueByOauth2, oauth2Digest } from '../oauth2.ts'
import type { Provider } from '../provider.ts'
import { placeOf } from '../setting.ts'

type Common<Keys> = {
  readonly kind: string
  readonly keys: z.ZodType<Keys>
  /** Names the account at the upstream, without secrets; what else makes another token of it belongs in here, too. */
  readonly account: (keys: Keys) => string
  readonly semantics: Semantics
  /** Where ordinary calls with the token go; absent where that is another host than the one that gives the token. */
  readonly api?: (keys: Keys) => string
  /** Everything that a good answer holds, where that is known. */
  readonly fields: readonly string[]
}

export type HttpPreset<Keys> = Common<Keys> & {
  /** The definition of an `http` source. Keys stand in it as `{{values.KEY}}`, so that nothing in them is a template. */
  readonly definition: (keys: Keys) => JsonObject & { readonly url: string }
  /** The codes of this API; `HTTP 401` and the like where only the status speaks. */
  readonly errors: ErrorTable
  /** Values that are made for each request anew, such as a signature; their names stand in the definition as well. */
  readonly made?: {
    readonly names: readonly string[]
    readonly make: (keys: Keys, env: Env) => Promise<Readonly<Record<string, string>>>
  }
}

export type Oauth2Preset<Keys> = Common<Keys> & {
  /** What differs from a client_credentials request with the client's id and secret in the body. */
  readonly settings: (keys: Keys) => Partial<Oauth2Settings> & Pick<Oauth2Settings, 'endpoint'>
  readonly dialect: Dialect
}

/** Tokens live side by side, and nothing limits asking: what each preset says otherwise is written over it. */
export const sideBySide: Semantics = {
  reissue: 'independent',
  graceMs: 0,
  windowMs: 0,
  limits: {},
  fallbackTtlMs: 300_000,
  inject: { header: 'authorization', prefix: 'Bearer ' },
  invalidTokenCodes: [],
}

type HttpPresetSettings<Keys> = { readonly keys: Keys; readonly http: HttpSettings }

export function httpPreset<Keys extends object>(preset: HttpPreset<Keys>): Provider<HttpPresetSettings<Keys>> {
  const { kind, keys: schema, definition, account, semantics, api, fields, errors, made } = preset
  return {
    kind,
    schema: schema.transform((keys) => ({ keys, http: httpSettingsOf(preset, keys) })),
    ...(api === undefined ? {} : { api: ({ keys }) => api(keys) }),
    fields,
    needs: () => [],
    semantics: () => semantics,
    identity: ({ keys }) => `${kind}:${placeOf(definition(keys).url)}/${account(keys)}`,
    credential: () => null,
    issue: async ({ keys, http }, call) => {
      if (made === undefined) return await issueByHttp(http, call, errors)
      const values = new Map(http.values)
      for (const [name, value] of Object.entries(await made.make(keys, call.env))) values.set(name, new Secret(value))
      return await issueByHttp({ ...http, values }, call, errors)
    },
  }
}

function httpSettingsOf<Keys extends object>({ definition, made }: HttpPreset<Keys>, keys: Keys): HttpSettings {
  const written = Object.entries(keys).flatMap(([name, value]): [string, string][] => {
    if (value instanceof Secret) return [[name, value.reveal()]]
    return typeof value === 'string' ? [[name, value]] : []
  })
  const placeholders = (made?.names ?? []).map((name): [string, string] => [name, ''])
  const { url, ...rest } = definition(keys)
  // Braces in an address that people wrote are not the beginning of a template.
  const literal = url.replaceAll('{', '%7B')
  return httpSchema.parse({ ...rest, url: literal, values: Object.fromEntries([...written, ...placeholders]) })
}

export function oauth2Preset<Keys extends object>(
  preset: Oauth2Preset<Keys>,
): Provider<{ readonly keys: Keys; readonly oauth2: Oauth2Settings }> {
  const { kind, keys: schema, account, semantics, api, fields, dialect } = preset
  return {
    kind,
    schema: schema.transform((keys) => ({ keys, oauth2: { ...plain, ...preset.settings(keys) } })),
    ...(api === undefined ? {} : { api: ({ keys }) => api(keys) }),
    fields,
    needs: () => [],
    semantics: ({ oauth2 }) => ({ ...semantics, fallbackTtlMs: oauth2.fallbackTtlMs }),
    identity: ({ keys, oauth2 }) => `${kind}:${oauth2Place(oauth2)}/${account(keys)}/${oauth2Digest(oauth2)}`,
    credential: () => null,
    issue: ({ oauth2 }, call) => issueByOauth2(oauth2, call, dialect),
  }
}

const plain: Omit<Oauth2Settings, 'endpoint'> = {
  grant: 'client_credentials',
  auth: 'body',
  clientId: '',
  clientSecret: null,
  signer: null,
  refreshing: null,
  scope: [],
  audience: [],
  resource: [],
  params: {},
  fallbackTtlMs: 300_000,
}
