/**
 * WeCom's token calls for service providers. The suite's ticket and the corps' permanent codes are kept here, so those that
 * a caller sends are not looked at: whoever proves itself for the suite may have the tokens of its corps.
 */
import { z } from 'zod'
import type { Reading } from '../../keeper/keeper.ts'
import type { Source } from '../../model/source.ts'
import { json, type Answer } from '../answer.ts'
import { lastParameter } from '../input.ts'
import { jsonBodyOf, ownerOf, prove, textIn, wireErrorOf } from '../platform.ts'
import { wechatErrorSchema, wechatTokenSchema, wecomProviderTokenSchema, wecomSuiteTokenSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'
import { toldSeconds } from '../told-life.ts'
import { refusal, told } from './wecom.ts'

async function answered(visit: Visit, name: string, shape: (reading: Reading) => object): Promise<Answer> {
  try {
    return json(200, shape(await visit.house.keeper.get(name, { signal: visit.request.signal })))
  } catch (thrown) {
    return told(visit, wireErrorOf(thrown, 'token'))
  }
}

async function suiteToken(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  const [suiteId, secret] = [textIn(body, 'suite_id'), textIn(body, 'suite_secret')]
  if (suiteId === '') return refusal(visit, 41021)
  if (secret === '') return refusal(visit, 41024)
  const proof = await prove(visit, 'wecom-suite', suiteId, secret)
  if (!proof.known) return refusal(visit, proof.why === 'account' ? 40083 : 40080)
  return await answered(visit, proof.sources[0].name, ({ snapshot, leftMs }) => ({
    errcode: 0,
    errmsg: 'ok',
    suite_access_token: snapshot.token,
    expires_in: toldSeconds(visit.house, proof.client, leftMs),
  }))
}

async function providerToken(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  const [corpid, secret] = [textIn(body, 'corpid'), textIn(body, 'provider_secret')]
  if (corpid === '') return refusal(visit, 41002)
  if (secret === '') return refusal(visit, 41004)
  const proof = await prove(visit, 'wecom-provider', corpid, secret)
  if (!proof.known) return refusal(visit, proof.why === 'account' ? 40013 : 40001)
  return await answered(visit, proof.sources[0].name, ({ snapshot, leftMs }) => ({
    provider_access_token: snapshot.token,
    expires_in: toldSeconds(visit.house, proof.client, leftMs),
  }))
}

async function corpToken(visit: Visit): Promise<Answer> {
  const body = await jsonBodyOf(visit)
  if (body === null) return refusal(visit, 47001)
  const sent = lastParameter(visit.url, 'suite_access_token')
  const corpid = textIn(body, 'auth_corpid')
  if (sent === '') return refusal(visit, 41022)
  const suite = (await ownerOf(visit.house, sent))?.source
  if (suite?.kind !== 'wecom-suite') return refusal(visit, 40082)
  if (corpid === '') return refusal(visit, 41002)
  const corp = await corpOf(visit, suite, corpid)
  if (corp === null) return refusal(visit, 48003, ', no wecom-corp source of this corp is here for this suite')
  return await answered(visit, corp.name, ({ snapshot, leftMs }) => ({
    access_token: snapshot.token,
    expires_in: toldSeconds(visit.house, null, leftMs),
  }))
}

/** The source of a corp: that of the configuration, under whatever name, or the one that its authorisation made. */
async function corpOf(visit: Visit, suite: Source, corpid: string): Promise<Source | null> {
  const { keeper } = visit.house
  const isCorp = ({ kind, definition }: Source): boolean => kind === 'wecom-corp' && definition.corpid === corpid
  const inFile = (await keeper.dependents(suite.name)).find(isCorp)
  const found = inFile ?? (await keeper.source(`${suite.name}/${corpid}`))
  return found !== undefined && isCorp(found) ? found : null
}

const doc = (summary: string, body: z.ZodObject, schema: z.ZodType): Surface['doc'] => ({
  group: 'wecom',
  summary,
  body,
  answers: {
    200: { description: 'The token, or an error in WeCom’s shape', schema: z.union([schema, wechatErrorSchema]) },
  },
})

export const surfaces: readonly Surface[] = [
  {
    method: 'POST',
    path: '/cgi-bin/service/get_suite_token',
    scope: 'own',
    handler: suiteToken,
    doc: doc(
      'WeCom: the suite_access_token of a suite. `suite_secret` is its secret, or an API key that may read the source; the ticket is not needed.',
      z.object({ suite_id: z.string(), suite_secret: z.string(), suite_ticket: z.string().optional() }),
      wecomSuiteTokenSchema,
    ),
  },
  {
    method: 'POST',
    path: '/cgi-bin/service/get_corp_token',
    scope: 'own',
    handler: corpToken,
    doc: {
      ...doc(
        'WeCom: the access_token of a corp that installed the suite whose token is sent, current or lately replaced.',
        z.object({ auth_corpid: z.string(), permanent_code: z.string().optional() }),
        wechatTokenSchema,
      ),
      query: z.object({ suite_access_token: z.string() }),
    },
  },
  {
    method: 'POST',
    path: '/cgi-bin/service/get_provider_token',
    scope: 'own',
    handler: providerToken,
    doc: doc(
      'WeCom: the provider_access_token. `provider_secret` is the secret, or an API key that may read the source.',
      z.object({ corpid: z.string(), provider_secret: z.string() }),
      wecomProviderTokenSchema,
    ),
  },
]
