/** A token address made to measure, for everything that is neither WeChat, WeCom nor OAuth 2.0. */
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import { tokenLengths } from './knobs.ts'
import { bearerToken } from './oauth2.ts'
import type { Answer, Upstream, Visit } from './upstream.ts'
import { setAt, valueAt } from './json-path.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type Generic = AccountOf<'generic'>
type State = AccountState<Generic>
type Demand = Generic['demands'][number]

const headers = { 'content-type': 'application/json' }

const token: ChannelPlan = {
  name: 'token',
  kind: 'token',
  use: 'access',
  terms: (knobs) => ({ reissue: knobs.reissue ?? 'independent', ...tokenLengths(knobs) }),
  prefix: '',
  length: 64,
}

/** What can be rotated or looked at by name. */
export const genericPlans: readonly ChannelPlan[] = [token]

/** Hears `/generic/{id}` and, for using a token, `/generic/{id}/resource`. */
export function createGeneric(world: World): Upstream {
  return {
    receive: async (visit) => {
      const [id = '', rest] = visit.path.slice('/generic/'.length).split('/', 2)
      const state = world.find('generic', id)
      const account = state?.account ?? null
      const refuse = (code: string | number, text = 'simulated error'): Answer => refusal(account, code, text)
      const needsBody = account?.demands.some((demand) => demand.in === 'body') ?? false
      const body = needsBody && visit.method === 'POST' ? parseBody(visit, await visit.text()) : null
      const call = { account: account?.id ?? null, forced: false, refuse }
      if (rest === 'resource') return { ...call, kind: 'api', answer: () => resource(world, id, visit) }
      return { ...call, kind: 'token', answer: () => issue(world, id, visit, body) }
    },
  }
}

function refusal(account: Generic | null, code: string | number, text: string): Answer {
  const { status, codeField, textField } = account?.failure ?? {
    status: 404,
    codeField: 'errcode',
    textField: 'errmsg',
  }
  const body = setAt(setAt({}, codeField.split('.'), code), textField.split('.'), text)
  return { status, headers, body, given: null, refusal: code }
}

function issue(world: World, id: string, visit: Visit, body: JsonObject | URLSearchParams | null): Answer {
  const state = world.find('generic', id)
  if (state === null) return refusal(null, 404, `there is no generic account ${JSON.stringify(id)}`)
  const { account } = state
  if (visit.method !== 'GET' && visit.method !== 'POST') return refusal(account, 405, 'use GET or POST')
  for (const demand of account.demands) {
    const wrong = unmet(world, demand, given(demand, visit, body))
    if (wrong !== null) return refusal(account, 40001, wrong)
  }
  return good(world, state)
}

function good(world: World, state: State): Answer {
  const { account } = state
  const now = world.clock.now()
  const asked = world.channel(state, token).ask(now)
  const tokenAt = account.tokenField.split('.')
  const lifetimeAt = account.expiry?.field.split('.') ?? null
  let body: JsonObject = setAt({ ...account.success }, tokenAt, asked.issue.value)
  if (account.expiry !== null && lifetimeAt !== null) {
    body = setAt(body, lifetimeAt, lifetime(account.expiry.as, asked.issue.expiresAt, now))
  }
  return { status: 200, headers, body, given: { ...asked, tokenAt, lifetimeAt }, refusal: null }
}

function lifetime(as: NonNullable<Generic['expiry']>['as'], expiresAt: number, now: number): Json {
  switch (as) {
    case 'seconds':
      return secondsLeft(expiresAt, now)
    case 'seconds-text':
      return String(secondsLeft(expiresAt, now))
    case 'milliseconds':
      return Math.max(0, Math.floor(expiresAt - now))
    case 'epoch-seconds':
      return Math.floor(expiresAt / 1_000)
    case 'epoch-milliseconds':
      return Math.floor(expiresAt)
    case 'iso':
      return new Date(expiresAt).toISOString()
  }
}

function given(demand: Demand, visit: Visit, body: JsonObject | URLSearchParams | null): string {
  switch (demand.in) {
    case 'query':
      return visit.query.get(demand.name) ?? ''
    case 'header':
      return visit.headers.get(demand.name) ?? ''
    case 'body': {
      if (body instanceof URLSearchParams) return body.get(demand.name) ?? ''
      const value = body === null ? null : valueAt(body, demand.name.split('.'))
      return typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value)
    }
  }
}

/** What is wrong with the value, in words that do not repeat it; null when it is as demanded. */
function unmet(world: World, demand: Demand, value: string): string | null {
  const where = `${demand.in} parameter ${demand.name}`
  if (value === '') return `${where} is missing`
  if (demand.value !== undefined && value !== demand.value) return `${where} is wrong`
  if (demand.tokenOf === undefined) return null
  const judged = world.judge(value.replace(/^bearer +/i, ''))
  const isLiving = judged?.verdict === 'alive' && judged.issue.channel.account === demand.tokenOf
  return isLiving ? null : `${where} is no living token of ${demand.tokenOf}`
}

function parseBody(visit: Visit, text: string): JsonObject | URLSearchParams | null {
  const type = visit.headers.get('content-type') ?? ''
  if (type.toLowerCase().startsWith('application/x-www-form-urlencoded')) return new URLSearchParams(text)
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : null
  } catch {
    return null // Not JSON: then what is demanded of the body is missing.
  }
}

/** The token may come as a bearer token or as `access_token` in the query. */
function resource(world: World, id: string, visit: Visit): Answer {
  const state = world.find('generic', id)
  const value = bearerToken(visit) ?? visit.query.get('access_token') ?? ''
  const judged = world.judge(value)
  if (state !== null && judged?.verdict === 'alive' && judged.issue.channel.account === id) {
    return { status: 200, headers, body: { ...state.account.success, ok: true }, given: null, refusal: null }
  }
  const answer = refusal(state?.account ?? null, 40001, 'the token is not valid')
  return answer.status === 200 ? answer : { ...answer, status: 401 }
}
