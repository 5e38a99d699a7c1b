/** The access_token of a shared app in a downstream corp (上下游、企业互联), asked for with the token of the upstream corp. */
import { z } from 'zod'
import type { Provider } from './provider.ts'
import { baseUrl, identifier, placeOf, sourceReference } from './setting.ts'
import { wecomCorpgroupErrors } from './wecom-errors.ts'
import { askService } from './wecom-service.ts'
import { wecomHost, wecomSemantics } from './wecom.ts'

type Settings = {
  readonly of: string
  readonly corpid: string
  readonly agentid: number
  readonly business_type: number
  readonly base_url: string
}

export const provider: Provider<Settings> = {
  kind: 'wecom-corpgroup',
  schema: z.strictObject({
    of: sourceReference('The source of the app in the upstream corp that shares it.'),
    corpid: identifier('The id of the downstream corp.'),
    agentid: z.number().int().nonnegative().describe('The id of the app in the downstream corp.'),
    business_type: z
      .union([z.literal(0), z.literal(1)])
      .default(1)
      .describe('1: upstream and downstream (上下游); 0: linked corps (企业互联).'),
    base_url: baseUrl(wecomHost, 'Where WeCom is asked; as for the source named by `of` when left out.'),
  }),
  parent: { key: 'of', kinds: ['wecom', 'http'], inherits: ['base_url', 'proxy'] },
  api: ({ base_url }) => base_url,
  fields: ['access_token', 'expires_in', 'errcode', 'errmsg'],
  needs: ({ of }) => [of],
  semantics: () => wecomSemantics,
  identity: ({ corpid, agentid, business_type, base_url }) =>
    `wecom-corpgroup:${placeOf(base_url)}/${corpid}/${agentid}/${business_type}`,
  credential: () => null,
  account: ({ corpid }) => corpid,
  issue: ({ of, corpid, agentid, business_type, base_url }, call) =>
    askService(
      {
        url: `${base_url}/cgi-bin/corpgroup/corp/gettoken`,
        body: { corpid, agentid, business_type },
        token: { name: 'access_token', value: call.inputs.get(of)?.token, of },
        field: 'access_token',
        errors: wecomCorpgroupErrors,
        secrets: [],
      },
      call,
    ),
}
