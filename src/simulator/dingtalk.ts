/**
 * DingTalk (钉钉): the token of an app and its jsapi ticket by both stacks, and an ordinary API of either that only checks
 * the token. The old stack refuses with HTTP 200 and a number, the new one with HTTP 4xx and a word. A second fetch gives
 * the same token with a whole life before it.
 */
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import { callOf, headers, modern, old, refuseModern, refuseOld, texts, token, type Dialect } from './dingtalk-answer.ts'
import { suiteCall, suiteToken } from './dingtalk-service.ts'
import { parseObject, textOf } from './json-body.ts'
import { ticketLengths } from './knobs.ts'
import { suiteOf } from './suite.ts'
import type { Answer, Call, Given, Upstream, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

/** Whose a token is: an app of an organisation, or a suite that one installed. */
type Holder = AccountState<AccountOf<'dingtalk' | 'dingtalk-suite'>>
/** The platform has said different things of a second fetch; we say: the same ticket. */
const ticket: ChannelPlan = {
  name: 'ticket:jsapi',
  kind: 'ticket',
  use: 'ticket',
  terms: (knobs) => ({ reissue: knobs.ticketReissue ?? 'same-until-expiry', ...ticketLengths(knobs) }),
  prefix: '',
  length: 64,
}

/** What can be rotated or looked at by name. Both stacks give out the same. */
export const dingtalkPlans: readonly ChannelPlan[] = [token, ticket]
export const dingtalkSuitePlans: readonly ChannelPlan[] = [suiteToken]

export function createDingtalk(world: World): Upstream {
  return {
    receive: (visit) => {
      switch (visit.path) {
        case '/gettoken':
          return oldTokenCall(world, visit)
        case '/v1.0/oauth2/accessToken':
          return modernTokenCall(world, visit)
        case '/get_jsapi_ticket':
          return checkedCall(world, old, visit, 'ticket')
        case '/v1.0/oauth2/jsapiTickets':
          return checkedCall(world, modern, visit, 'ticket')
        default:
          return (
            suiteCall(world, visit) ??
            checkedCall(world, /^\/v\d+\.\d+\//.test(visit.path) ? modern : old, visit, 'api')
          )
      }
    },
  }
}

function give(world: World, dialect: Dialect, channel: Channel, plan: ChannelPlan): Answer {
  const now = world.clock.now()
  const asked = channel.ask(now)
  const { fields, success } = dialect
  const field = plan.use === 'ticket' ? fields.ticket : fields.token
  const body = { ...success, [field]: asked.issue.value, [fields.life]: secondsLeft(asked.issue.expiresAt, now) }
  const given: Given = { ...asked, tokenAt: [field], lifetimeAt: [fields.life] }
  return { status: 200, headers, body, given, refusal: null }
}

function oldTokenCall(world: World, visit: Visit): Call {
  const appkey = visit.query.get('appkey') ?? ''
  const state = world.find('dingtalk', appkey)
  // Here a wrong secret is no wrong token: the refusal is not wrapped.
  return callOf(world, old, { kind: 'token', account: state?.account.id ?? null }, () => {
    if (visit.method !== 'GET') return refuseOld(world, 43001)
    if (appkey === '') return refuseOld(world, visit.query.has('corpid') ? 40089 : 40035)
    const known = world.find('dingtalk', appkey)
    if (known?.account.secret !== visit.query.get('appsecret')) return refuseOld(world, 40096)
    return give(world, old, world.channel(known, token), token)
  })
}

async function modernTokenCall(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const appKey = textOf(body, 'appKey')
  const account = world.find('dingtalk', appKey)?.account.id ?? null
  return callOf(world, modern, { kind: 'token', account }, () => {
    if (visit.method !== 'POST') return refuseModern(world, 'InvalidAction.NotFound')
    if (body === null) return refuseModern(world, 'Missingbody')
    const appSecret = textOf(body, 'appSecret')
    if (appKey === null) return refuseModern(world, 'MissingappKey')
    if (appSecret === null) return refuseModern(world, 'MissingappSecret')
    const known = world.find('dingtalk', appKey)
    if (known?.account.secret !== appSecret) return refuseModern(world, 'invalidClientIdOrSecret')
    return give(world, modern, world.channel(known, token), token)
  })
}

/** Everything that carries a token: the ticket, and the ordinary API. */
function checkedCall(world: World, dialect: Dialect, visit: Visit, kind: 'ticket' | 'api'): Call {
  const value = dialect.sent(visit)
  const owner = holderOf(world, world.book.get(value)?.channel)
  return callOf(world, dialect, { kind, account: owner?.account.id ?? null }, () => {
    const { codes } = dialect
    const isBlank = dialect === old && visit.query.has('access_token')
    if (value === '') return dialect.refuse(world, isBlank ? 40000 : codes.missing)
    const judged = world.judge(value)
    const state = holderOf(world, judged?.issue.channel)
    if (judged === null || state === null || judged.issue.channel.use !== 'access') {
      return dialect.refuse(world, codes.unknown)
    }
    if (judged.verdict !== 'alive') {
      return dialect.refuse(world, judged.verdict === 'expired' ? codes.expired : codes.unknown)
    }
    const { allowList } = world.knobsOf(state)
    if (allowList !== null && !allowList.includes(visit.ip)) {
      const words = `${texts[String(codes.address)] ?? ''},request ip=${visit.ip} appKey(${state.account.id})`
      return dialect.refuse(world, codes.address, words)
    }
    if (kind === 'api') return { status: 200, headers, body: dialect.success, given: null, refusal: null }
    return give(world, dialect, ticketChannel(world, state, judged.issue.channel), ticket)
  })
}

/** The token of a suite itself opens nothing here. */
function holderOf(world: World, channel: Channel | undefined): Holder | null {
  const account = channel?.account ?? null
  const suite = world.find('dingtalk-suite', account)
  if (channel === undefined || suite === null) return world.find('dingtalk', account)
  return suiteOf(world, suite).organisationOf(channel) === null ? null : suite
}

function ticketChannel(world: World, holder: Holder, sent: Channel): Channel {
  const suite = world.find('dingtalk-suite', holder.account.id)
  if (suite === null) return world.channel(holder, ticket)
  const known = suiteOf(world, suite)
  return known.channel(ticket, known.organisationOf(sent) ?? '')
}
