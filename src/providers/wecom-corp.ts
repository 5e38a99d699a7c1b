/** The access_token of a suite in one corp that installed it (第三方应用的企业 access_token). */
import { z } from 'zod'
import type { Secret } from '../base/secret.ts'
import type { Semantics } from '../model/semantics.ts'
import { requestRefused } from './ask.ts'
import { failureHints } from './outcome.ts'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, secret, sourceReference } from './setting.ts'
import { wecomSuiteCallErrors } from './wecom-errors.ts'
import { askService } from './wecom-service.ts'
import { wecomHost, wecomSemantics } from './wecom.ts'

type Settings = {
  readonly of: string
  readonly corpid: string
  readonly permanent_code?: Secret | undefined
  readonly base_url: string
}

/** The permanent code is the grant: it lives until the corp removes the suite, or an administrator resets it. */
export const wecomCorpSemantics: Semantics = {
  ...wecomSemantics,
  grant: {
    rotates: 'never',
    graceMs: 0,
    missing: {
      code: 'authorization_missing',
      message: 'the corp has not installed the suite, or has removed it',
      hint: failureHints.authorization_missing,
    },
  },
}

export const provider: Provider<Settings> = {
  kind: 'wecom-corp',
  schema: z.strictObject({
    of: sourceReference('The suite that the corp installed.'),
    corpid: identifier('The id of the corp.'),
    permanent_code: secret(
      'Its permanent code, where another program was given it; what comes later counts.',
    ).optional(),
    base_url: baseUrl(wecomHost, 'Where WeCom is asked; as for the source named by `of` when left out.'),
  }),
  parent: { key: 'of', kinds: ['wecom-suite'], inherits: ['base_url', 'proxy'] },
  api: ({ base_url }) => base_url,
  offspring: {
    jsapi: { provider: 'wecom-ticket', type: 'jsapi' },
    agent_config: { provider: 'wecom-ticket', type: 'agent_config' },
  },
  fields: ['access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: ({ of }) => [of],
  semantics: () => wecomCorpSemantics,
  identity: ({ corpid, base_url }) => `wecom-corp:${placeOf(base_url)}/${corpid}`,
  credential: () => null,
  account: ({ corpid }) => corpid,
  seed: ({ permanent_code }) => permanent_code ?? null,
  issue: async ({ of, corpid, base_url }, call) => {
    const code = call.grant ?? null
    if (code === null) return requestRefused('there is no permanent code')
    return await askService(
      {
        url: `${base_url}/cgi-bin/service/get_corp_token`,
        body: { auth_corpid: corpid, permanent_code: code },
        token: { name: 'suite_access_token', value: call.inputs.get(of)?.token, of },
        field: 'access_token',
        errors: wecomSuiteCallErrors,
        secrets: [code],
      },
      call,
    )
  },
}
