/**
 * DingTalk for third-party apps, by both stacks: the suite's token and those of the organisations that installed it. Each
 * call gives a new token. What becomes of the one before the platform does not say; here it dies at once.
 */
import { createHmac } from 'node:crypto'
import type { JsonObject } from '../base/json.ts'
import type { AccountOf } from './account.ts'
import type { Channel } from './channel.ts'
import { callOf, headers, modern, old, token, type Code, type Dialect } from './dingtalk-answer.ts'
import { parseObject, textOf } from './json-body.ts'
import { tokenLengths } from './knobs.ts'
import { suiteOf } from './suite.ts'
import type { Answer, Call, Visit } from './upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from './world.ts'

type State = AccountState<AccountOf<'dingtalk-suite'>>

const alone = (name: string): ChannelPlan => ({
  ...token,
  name,
  terms: (knobs) => ({
    ...tokenLengths(knobs),
    reissue: knobs.reissue ?? 'retires-previous',
    overlapMs: (knobs.overlapSeconds ?? 0) * 1_000,
  }),
})
export const suiteToken = alone('suite')
const corpToken = alone('corp')

/** What a call says, however its stack says it. */
type Asked = {
  readonly key: string | null
  readonly secret: string | null
  readonly ticket: string | null
  /** Null: the suite's own token is asked for. */
  readonly corp: string | null
  /** The old stack's proof in place of the secret: what is signed, and how. */
  readonly signed: { readonly timestamp: string; readonly signature: string } | null
}

type Refusals = Readonly<Record<'key' | 'secret' | 'ticket' | 'corp', Code>>
const numbers: Refusals = { key: 40083, secret: 40080, ticket: 40085, corp: 40103 }
const words: Refusals = {
  key: 'invalidSuiteKey',
  secret: 'invalidSuiteSecret',
  ticket: 'invalidSuiteTicket',
  corp: 'invalidAuthCorpId',
}

/** Null: it is none of these calls. */
export function suiteCall(world: World, visit: Visit): Promise<Call> | null {
  const read = readers[visit.path]
  return read === undefined ? null : answered(world, visit, read)
}

type Reader = { readonly dialect: Dialect; readonly read: (body: JsonObject | null, query: URLSearchParams) => Asked }

const readers: Readonly<Record<string, Reader>> = {
  '/v1.0/oauth2/suiteAccessToken': {
    dialect: modern,
    read: (body) => ({
      key: textOf(body, 'suiteKey'),
      secret: textOf(body, 'suiteSecret'),
      ticket: textOf(body, 'suiteTicket'),
      corp: null,
      signed: null,
    }),
  },
  '/v1.0/oauth2/corpAccessToken': {
    dialect: modern,
    read: (body) => ({
      key: textOf(body, 'suiteKey'),
      secret: textOf(body, 'suiteSecret'),
      ticket: textOf(body, 'suiteTicket'),
      corp: textOf(body, 'authCorpId') ?? '',
      signed: null,
    }),
  },
  '/service/get_suite_token': {
    dialect: { ...old, fields: { ...old.fields, token: 'suite_access_token' } },
    read: (body) => ({
      key: textOf(body, 'suite_key'),
      secret: textOf(body, 'suite_secret'),
      ticket: textOf(body, 'suite_ticket'),
      corp: null,
      signed: null,
    }),
  },
  '/service/get_corp_token': {
    dialect: old,
    read: (body, query) => ({
      key: query.get('accessKey'),
      secret: null,
      ticket: query.get('suiteTicket'),
      corp: textOf(body, 'auth_corpid') ?? '',
      signed: { timestamp: query.get('timestamp') ?? '', signature: query.get('signature') ?? '' },
    }),
  },
}

async function answered(world: World, visit: Visit, { dialect, read }: Reader): Promise<Call> {
  const asked = read(visit.method === 'POST' ? parseObject(await visit.text()) : null, visit.query)
  const account = world.find('dingtalk-suite', asked.key)?.account.id ?? null
  return callOf(world, dialect, { kind: 'token', account }, () => {
    const state = world.find('dingtalk-suite', asked.key)
    const wrong = state === null ? 'key' : faultOf(world, state, asked)
    const refusals = dialect === modern ? words : numbers
    if (state === null || wrong !== null) return dialect.refuse(world, refusals[wrong ?? 'key'])
    const channel =
      asked.corp === null ? world.channel(state, suiteToken) : suiteOf(world, state).channel(corpToken, asked.corp)
    return give(world, dialect, channel)
  })
}

function faultOf(world: World, state: State, asked: Asked): keyof Refusals | null {
  const { secret } = state.account
  const { signed, ticket, corp } = asked
  const isProven = signed === null ? asked.secret === secret : signed.signature === signature(secret, signed, ticket)
  if (!isProven) return 'secret'
  const suite = suiteOf(world, state)
  if (!suite.takesTicket(ticket)) return 'ticket'
  return corp === null || suite.permanentCode(corp) !== null ? null : 'corp'
}

function signature(secret: string, { timestamp }: { readonly timestamp: string }, ticket: string | null): string {
  return createHmac('sha256', secret)
    .update(`${timestamp}\n${ticket ?? ''}`)
    .digest('base64')
}

function give(world: World, { fields, success }: Dialect, channel: Channel): Answer {
  const now = world.clock.now()
  const asked = channel.ask(now)
  const left = secondsLeft(asked.issue.expiresAt, now)
  const body = { ...success, [fields.token]: asked.issue.value, [fields.life]: left }
  return {
    status: 200,
    headers,
    body,
    given: { ...asked, tokenAt: [fields.token], lifetimeAt: [fields.life] },
    refusal: null,
  }
}
