/**
 * Feishu (飞书) and Lark: tokens of an internal app, its JSSDK ticket, and an ordinary API that only checks the token. Token
 * calls refuse with HTTP 200, all others with 4xx. While half an hour is left a second fetch gives the same token; then a
 * new one, and both live out their lives.
 */
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import { parseObject, textOf } from './json-body.ts'
import { ticketLengths, tokenLengths, type Knobs } from './knobs.ts'
import { bearerToken } from './oauth2.ts'
import { suiteOf } from './suite.ts'
import type { Answer, Call, CallKind, Given, Upstream, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'feishu'>>
type Store = AccountState<AccountOf<'feishu-store'>>

const headers = { 'content-type': 'application/json; charset=utf-8' }
/** Seconds until a limit begins anew, as the header of a refusal tells them. */
const limitSeconds = 30

const texts: Readonly<Record<string, string>> = {
  '2200': 'Internal Error',
  '10003': 'invalid param',
  '10012': 'app ticket invalid',
  '10014': 'app id not exists',
  '10015': 'app secret invalid',
  '10016': 'app type is not isv',
  '99991400': 'request trigger frequency limit',
  '99991661': 'Missing access token for authorization. Please make a request with token attached.',
  '99991663': 'Invalid access token for authorization. Please make a test attempt with the correct token.',
  '99991664': 'Invalid app access token for authorization.',
  '99991668': 'Invalid user access token for authorization.',
  '99991671': 'Invalid access token format.',
  '99991672': 'Access denied. One of the scopes is required.',
}

/** Half an hour of a whole life, a quarter of a short one. */
function lengths(knobs: Knobs): { ttlMs: number; overlapMs: number; windowMs: number } {
  const { ttlMs, windowMs } = tokenLengths(knobs)
  const ownWindowMs = knobs.windowSeconds === null ? Math.min(1_800_000, ttlMs / 4) : windowMs
  // Nothing ends before its time: what is left of the one before is never more than the window.
  return {
    ttlMs,
    windowMs: ownWindowMs,
    overlapMs: knobs.overlapSeconds === null ? ttlMs : knobs.overlapSeconds * 1_000,
  }
}

const plan = (name: 'tenant' | 'app', prefix: string): ChannelPlan => ({
  name,
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'same-until-window', ...lengths(knobs) }),
  prefix,
  length: 42,
})
const tenant = plan('tenant', 't-')
const app = plan('app', 'a-')

const ticket: ChannelPlan = {
  name: 'ticket:jsapi',
  kind: 'ticket',
  use: 'ticket',
  terms: (knobs) => ({ reissue: knobs.ticketReissue ?? 'same-until-window', ...ticketLengths(knobs) }),
  prefix: '',
  length: 40,
}

/** What can be rotated or looked at by name. */
export const feishuPlans: readonly ChannelPlan[] = [tenant, app, ticket]
export const feishuStorePlans: readonly ChannelPlan[] = [app]

export function createFeishu(world: World): Upstream {
  return {
    receive: (visit) => {
      switch (visit.path) {
        case '/open-apis/auth/v3/tenant_access_token/internal':
          return tokenCall(world, visit, tenant)
        case '/open-apis/auth/v3/app_access_token/internal':
          return tokenCall(world, visit, app)
        case '/open-apis/auth/v3/app_access_token':
          return storeCall(world, visit)
        case '/open-apis/auth/v3/app_ticket/resend':
          return resendCall(world, visit)
        case '/open-apis/auth/v3/tenant_access_token':
          return tenantCall(world, visit)
        case '/open-apis/jssdk/ticket/get':
          return checkedCall(world, visit, 'ticket')
        default:
          return checkedCall(world, visit, 'api')
      }
    },
  }
}

function refuse(code: string | number, text: string | undefined, status: 200 | 400): Answer {
  const msg = text ?? texts[String(code)] ?? 'simulated error'
  if (code === 99991400) {
    const limited = { ...headers, 'x-ogw-ratelimit-limit': '50', 'x-ogw-ratelimit-reset': String(limitSeconds) }
    return { status: 429, headers: limited, body: { code, msg }, given: null, refusal: code }
  }
  const body: JsonObject = code === 10003 ? { code, data: {}, msg } : { code, msg }
  return { status, headers, body, given: null, refusal: code }
}

type Whose = { readonly kind: CallKind; readonly account: string | null }

function callOf(whose: Whose, status: 200 | 400, answer: () => Answer): Call {
  return { ...whose, forced: false, answer, refuse: (code, text) => refuse(code, text, status) }
}

async function tokenCall(world: World, visit: Visit, wanted: ChannelPlan): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const id = textOf(body, 'app_id')
  const account = world.find('feishu', id)?.account.id ?? null
  return callOf({ kind: 'token', account }, 200, () => {
    if (visit.method !== 'POST') return notFound
    const secret = textOf(body, 'app_secret')
    if (id === null || secret === null || secret === '') return refuse(10003, undefined, 200)
    const state = world.find('feishu', id)
    if (state === null) return refuse(id.startsWith('cli_') ? 10014 : 10003, undefined, 200)
    return state.account.secret === secret ? give(world, state, wanted) : refuse(10015, undefined, 200)
  })
}

/** Both calls of a store app that it makes with its secret. */
async function asStore(
  world: World,
  visit: Visit,
  answer: (state: Store, body: JsonObject | null) => Answer,
): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const id = textOf(body, 'app_id')
  const kind = visit.path.endsWith('/resend') ? 'api' : 'token'
  const account = world.find('feishu-store', id) ?? world.find('feishu', id)
  return callOf({ kind, account: account?.account.id ?? null }, 200, () => {
    const state = world.find('feishu-store', id)
    const secret = textOf(body, 'app_secret')
    if (id === null || secret === null || secret === '') return refuse(10003, undefined, 200)
    if (state === null) return refuse(world.find('feishu', id) === null ? 10014 : 10016, undefined, 200)
    return state.account.secret === secret ? answer(state, body) : refuse(10015, undefined, 200)
  })
}

function storeCall(world: World, visit: Visit): Promise<Call> {
  return asStore(world, visit, (state, body) => {
    if (!suiteOf(world, state).takesTicket(textOf(body, 'app_ticket'))) return refuse(10012, undefined, 200)
    return giveOne(world, world.channel(state, app), 'app_access_token')
  })
}

function resendCall(world: World, visit: Visit): Promise<Call> {
  return asStore(world, visit, (state) => {
    suiteOf(world, state).makeTicket()
    return { status: 200, headers, body: { code: 0, msg: 'ok' }, given: null, refusal: null }
  })
}

async function tenantCall(world: World, visit: Visit): Promise<Call> {
  const body = visit.method === 'POST' ? parseObject(await visit.text()) : null
  const sent = textOf(body, 'app_access_token') ?? ''
  const owner = world.find('feishu-store', world.book.get(sent)?.channel.account ?? null)
  return callOf({ kind: 'token', account: owner?.account.id ?? null }, 200, () => {
    const judged = world.judge(sent)
    const state = world.find('feishu-store', judged?.issue.channel.account ?? null)
    if (judged?.verdict !== 'alive' || state === null) return refuse(99991664, undefined, 200)
    const key = textOf(body, 'tenant_key')
    const suite = suiteOf(world, state)
    if (key === null || suite.permanentCode(key) === null) return refuse(10003, undefined, 200)
    return giveOne(world, suite.channel(tenant, key), 'tenant_access_token')
  })
}

function giveOne(world: World, channel: Channel, field: string): Answer {
  const now = world.clock.now()
  const asked = channel.ask(now)
  const body = { code: 0, msg: 'ok', [field]: asked.issue.value, expire: secondsLeft(asked.issue.expiresAt, now) }
  return { status: 200, headers, body, given: { ...asked, tokenAt: [field], lifetimeAt: ['expire'] }, refusal: null }
}

const notFound: Answer = { status: 404, headers, body: {}, given: null, refusal: 404 }

/** The call for the app's token tells that of its tenant, too. */
function give(world: World, state: State, wanted: ChannelPlan): Answer {
  const now = world.clock.now()
  const asked = world.channel(state, wanted).ask(now)
  const field = `${wanted.name}_access_token`
  const body: JsonObject = {
    code: 0,
    msg: 'ok',
    [field]: asked.issue.value,
    ...(wanted === app ? { tenant_access_token: world.channel(state, tenant).ask(now).issue.value } : {}),
    expire: secondsLeft(asked.issue.expiresAt, now),
  }
  return { status: 200, headers, body, given: { ...asked, tokenAt: [field], lifetimeAt: ['expire'] }, refusal: null }
}

/** Everything that carries a token: the ticket, and the ordinary API. */
function checkedCall(world: World, visit: Visit, kind: 'ticket' | 'api'): Call {
  const value = bearerToken(visit)
  const owner = holderOf(world, world.book.get(value ?? '')?.channel)
  return callOf({ kind, account: owner?.account.id ?? null }, 400, () => {
    if (value === null) return refuse(99991661, undefined, 400)
    const judged = world.judge(value)
    const state = holderOf(world, judged?.issue.channel)
    if (judged?.verdict !== 'alive' || state === null || judged.issue.channel.use !== 'access') {
      return refuse(wrongToken(value), undefined, 400)
    }
    if (kind === 'api')
      return { status: 200, headers, body: { code: 0, msg: 'ok', data: {} }, given: null, refusal: null }
    return visit.method === 'POST' ? giveTicket(world, ticketChannel(world, state, judged.issue.channel)) : notFound
  })
}

/** By its first letters a token says what it wants to be. */
function wrongToken(value: string): number {
  if (value.startsWith('t-')) return 99991663
  if (value.startsWith('a-')) return 99991664
  return value.startsWith('u-') ? 99991668 : 99991671
}

/** The token of a store app itself asks for those of its tenants only. */
function holderOf(world: World, channel: Channel | undefined): State | Store | null {
  const account = channel?.account ?? null
  const store = world.find('feishu-store', account)
  if (channel === undefined || store === null) return world.find('feishu', account)
  return suiteOf(world, store).organisationOf(channel) === null ? null : store
}

function ticketChannel(world: World, holder: State | Store, sent: Channel): Channel {
  const store = world.find('feishu-store', holder.account.id)
  if (store === null) return world.channel(holder, ticket)
  const known = suiteOf(world, store)
  return known.channel(ticket, known.organisationOf(sent) ?? '')
}

function giveTicket(world: World, channel: Channel): Answer {
  const now = world.clock.now()
  const asked = channel.ask(now)
  const data = { expire_in: secondsLeft(asked.issue.expiresAt, now), ticket: asked.issue.value }
  const given: Given = { ...asked, tokenAt: ['data', 'ticket'], lifetimeAt: ['data', 'expire_in'] }
  return { status: 200, headers, body: { code: 0, msg: 'ok', data }, given, refusal: null }
}
