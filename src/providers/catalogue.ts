/** The door of the providers room: the one list of kinds, and how a definition becomes a source that can be asked. */
import { ZhongkongError } from '../base/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import { sha256 } from '../base/secret.ts'
import { nearest } from '../base/suggest.ts'
import type { DefinitionIssue, ParseSource } from '../model/definition.ts'
import type { Attempt, Failed } from '../model/failure.ts'
import type { Message, Push } from '../model/message.ts'
import type { RefreshPolicy, Source, SourceGateway } from '../model/source.ts'
import type { Said } from '../model/suspicion.ts'
import { provider as dingtalkCorp } from './dingtalk-corp.ts'
import { provider as dingtalkSuite } from './dingtalk-suite.ts'
import { provider as dingtalkTicket } from './dingtalk-ticket.ts'
import { provider as dingtalk } from './dingtalk.ts'
import { provider as feishuStore } from './feishu-store.ts'
import { provider as feishuTenant } from './feishu-tenant.ts'
import { provider as feishuTicket } from './feishu-ticket.ts'
import { provider as feishu } from './feishu.ts'
import { provider as http } from './http.ts'
import { identityOf, inherit, unknownFields, type Kin } from './kinship.ts'
import { provider as oauth2 } from './oauth2.ts'
import { presets } from './presets/presets.ts'
import type {
  Accounts,
  Authorization,
  Call,
  Heard,
  Held,
  Journey,
  Link,
  Proof,
  Provider,
  Redeemed,
} from './provider.ts'
import { readDefinition } from './read-definition.ts'
import { sourceSchemaOf } from './source-json-schema.ts'
import { provider as wechatAuthorizer } from './wechat-authorizer.ts'
import { provider as wechatComponent } from './wechat-component.ts'
import { provider as wechatTicket } from './wechat-ticket.ts'
import { provider as wechat } from './wechat.ts'
import { provider as wecomCorp } from './wecom-corp.ts'
import { provider as wecomCorpgroup } from './wecom-corpgroup.ts'
import { provider as wecomProvider } from './wecom-provider.ts'
import { provider as wecomSuite } from './wecom-suite.ts'
import { provider as wecomTicket } from './wecom-ticket.ts'
import { provider as wecom } from './wecom.ts'
import { provider as zhongkong } from './zhongkong.ts'

export type { Call, Heard, Held, Input, Journey, Link, Proof, Provider, Redeemed } from './provider.ts'

/** Every kind of source there is. */
export const providers: readonly Provider[] = [
  wechat,
  wechatTicket,
  wechatComponent,
  wechatAuthorizer,
  wecom,
  wecomTicket,
  wecomProvider,
  wecomSuite,
  wecomCorp,
  wecomCorpgroup,
  dingtalk,
  dingtalkTicket,
  dingtalkSuite,
  dingtalkCorp,
  feishu,
  feishuTicket,
  feishuStore,
  feishuTenant,
  http,
  oauth2,
  zhongkong,
  ...presets,
]

const byKind: ReadonlyMap<Json | undefined, Provider> = new Map(providers.map((each) => [each.kind, each]))

/** A definition as a source, or everything that is wrong with it. */
export const parseSource: ParseSource = (name, definition, origin, siblings = () => undefined) => {
  const provider = byKind.get(definition.provider)
  if (provider === undefined) return { ok: false, issues: [noProvider(definition.provider)] }
  const kin: Kin = { providerOf: (other) => byKind.get(other.provider), siblings }
  const { complete, issues: ofParent } = inherit(provider, definition, kin)
  const read = readDefinition(provider, complete)
  if (!read.ok) return { ok: false, issues: [...ofParent, ...read.issues] }
  const { settings, policy, callback } = read
  const issues = [...ofParent, ...unknownFields(provider, settings, kin)]
  if (issues.length > 0) return { ok: false, issues }
  const channel = provider.channel?.(settings) ?? null
  const gateway = gatewayOf(provider, settings, policy)
  const source: Source = {
    name,
    kind: provider.kind,
    definition,
    settings,
    policy,
    needs: provider.needs(settings),
    semantics: provider.semantics(settings),
    identity: identityOf(provider, settings, kin),
    ...(channel === null ? {} : { channel }),
    generation: sha256(canonical(complete)).toString('hex'),
    origin,
    credential: provider.credential(settings),
    seed: seedOf(provider, settings),
    callback,
    ...(provider.account === undefined ? {} : { account: provider.account(settings) }),
    ...(provider.signing === undefined ? {} : { signing: provider.signing(settings) }),
    ...(gateway === null ? {} : { gateway }),
    ...(provider.offspring === undefined ? {} : { offspring: provider.offspring }),
  }
  return { ok: true, source }
}

/**
 * Where platforms give out tokens, and take codes that are good once. Through the gateway that would retire tokens or spend
 * codes behind the keeper's back, and what is refused there says nothing about the token that was put in.
 */
const issuingPaths = [
  '/cgi-bin/token',
  '/cgi-bin/stable_token',
  '/cgi-bin/gettoken',
  '/cgi-bin/component/api_*_token',
  '/cgi-bin/component/api_query_auth',
  '/cgi-bin/service/get_*_token',
  '/cgi-bin/service/*get_permanent_code',
  '/cgi-bin/corpgroup/corp/gettoken',
  '/gettoken',
  '/service/get_*_token',
  '/v1.0/oauth2/*accessToken',
  '/open-apis/auth/*',
  '/open-apis/authen/*token',
  '/oauth2/token',
  '/oauth/token',
  '/oauth/client_token/*',
  '/oauth/access_token/*',
]

function gatewayOf(provider: Provider, settings: unknown, { gateway: written }: RefreshPolicy): SourceGateway | null {
  if (written === null) return null
  const baseUrl = written?.baseUrl ?? provider.api?.(settings)
  if (baseUrl === undefined) return null
  const { allow = null, deny = [], perSecond = null } = written ?? {}
  return { baseUrl, allow, deny: [...issuingPaths, ...deny], perSecond }
}

function seedOf(provider: Provider, settings: unknown): Source['seed'] {
  const value = provider.seed?.(settings) ?? null
  return value === null ? null : { value, digest: sha256(value.reveal()).toString('hex').slice(0, 16) }
}

/** Asks the upstream of a source once. Whatever the upstream does is one of the four outcomes. */
export async function issue(source: Source, call: Call): Promise<Attempt> {
  const provider = byKind.get(source.kind)
  if (provider === undefined) throw new ZhongkongError('internal', `there is no provider ${source.kind}`)
  return await provider.issue(source.settings, call)
}

/** Where a person authorises a source; undefined where that is not done. */
export async function linkOf(source: Source, call: Call, journey: Journey): Promise<Link | undefined> {
  return await authorizationFor(source)?.link(source.settings, call, journey)
}

/** How a person authorises a source; undefined where nobody does. */
export function authorizationOf(
  source: Source,
): Pick<Authorization<unknown>, 'codeParameter' | 'isAskedWithToken' | 'isEnteredByClick'> | undefined {
  return authorizationFor(source)
}

function authorizationFor({ kind, settings }: Source): Authorization<unknown> | undefined {
  const authorization = byKind.get(kind)?.authorization
  return authorization?.isFor?.(settings) === false ? undefined : authorization
}

/** Exchanges what an authorisation brought. */
export async function redeem(source: Source, call: Call, proof: Proof): Promise<Redeemed> {
  const authorization = authorizationFor(source)
  if (authorization === undefined) throw new ZhongkongError('internal', `${source.kind} is authorised by nobody`)
  return await authorization.redeem(source.settings, call, proof)
}

/** A part of the list of the accounts under a source, from `offset` on; undefined where there is no such list. */
export async function listAccounts(
  source: Source,
  call: Call,
  offset: number,
): Promise<Accounts | { readonly refused: Failed } | undefined> {
  return await byKind.get(source.kind)?.authorization?.list?.(source.settings, call, offset)
}

/** Asks the platform to push a source's grant again; undefined where it cannot be asked. */
export async function askForPush(source: Source, call: Call): Promise<Failed | null | undefined> {
  return await byKind.get(source.kind)?.askForPush?.(source.settings, call)
}

/** Asks the platform whether a token lives; undefined where it cannot be asked. */
export async function probe(source: Source, call: Call, token: string): Promise<Said | undefined> {
  return await byKind.get(source.kind)?.probe?.(source.settings, call, token)
}

/** Waits at the upstream of a source that announces, up to `waitMs`, for another token than the one held. */
export async function watch(source: Source, call: Call & { readonly held: Held }, waitMs: number): Promise<Heard> {
  const provider = byKind.get(source.kind)
  if (provider?.watch === undefined) throw new ZhongkongError('internal', `${source.kind} cannot be waited at`)
  return await provider.watch(source.settings, call, waitMs)
}

/** What a message that the platform sent to this source brings it. */
export function readMessage(source: Source, message: Message): Push {
  return byKind.get(source.kind)?.readMessage?.(source.settings, message) ?? { kind: 'none' }
}

/** The JSON Schema of one source, for the schema of the whole configuration. */
export function sourceJsonSchema(): JsonObject {
  return sourceSchemaOf(providers)
}

function noProvider(written: Json | undefined): DefinitionIssue {
  const kinds = providers.map(({ kind }) => kind)
  const fix = { en: `Known: ${kinds.join(', ')}.`, zh: `可用：${kinds.join('、')}。` }
  if (typeof written !== 'string') {
    const message = { en: 'A source names its `provider`.', zh: '来源必须写明 `provider`。' }
    return { path: written === undefined ? [] : ['provider'], message, fix }
  }
  const near = nearest(written, kinds)
  return {
    path: ['provider'],
    message: { en: `There is no provider "${written}".`, zh: `没有名为 "${written}" 的 provider。` },
    fix: near === null ? fix : { en: `Did you mean "${near}"?`, zh: `是否想写 "${near}"？` },
  }
}

/** JSON with its keys in order, so that the order in which a definition was written means nothing. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((each: Json) => canonical(each)).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  const members = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1))
  return `{${members.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`
}
