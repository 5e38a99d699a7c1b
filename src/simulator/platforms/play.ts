/** Plays every platform that is known by name, each below `/platform/NAME`. */
import { isJsonObject, type JsonObject } from '../../base/json.ts'
import { SeenOnce } from '../jwt.ts'
import { defaultKnobs, type Knobs } from '../knobs.ts'
import type { Terms } from '../channel.ts'
import type { Answer, Call, Upstream, Visit } from '../upstream.ts'
import { secondsLeft, type AccountState, type ChannelPlan, type World } from '../world.ts'
import { platformNames, type PlatformName } from './names.ts'
import { oauthLikePlatforms } from './oauth-like.ts'
import { ownKindPlatforms } from './own-kind.ts'
import type { Asked, Platform, PlatformAccount, Refused } from './platform.ts'

const platforms: Readonly<Record<PlatformName, Platform>> = { ...ownKindPlatforms, ...oauthLikePlatforms }

type State = AccountState<PlatformAccount>

const headers = { 'content-type': 'application/json; charset=utf-8' }

const plans: ReadonlyMap<PlatformName, ChannelPlan> = new Map(
  platformNames.map((name) => [name, planOf(platforms[name])]),
)

/** What can be rotated or looked at by name. */
export function platformPlans(name: PlatformName): readonly ChannelPlan[] {
  return [planNamed(name)]
}

/** Hears `/platform/NAME/…`: the platform's own token path there, and anything else as a call with a token. */
export function createPlatforms(world: World): Upstream {
  const seen = new SeenOnce()
  return {
    receive: async (visit) => {
      const [, name = '', path = '/'] = /^\/([^/]+)(\/.*)$/.exec(visit.path) ?? []
      const known = platformNames.find((each) => each === name)
      if (known === undefined) return nowhere(name)
      const platform = platforms[known]
      const caught = platform.path.exec(path)
      if (caught === null) return useCall(world, known, visit)
      return await tokenCall({ world, name: known, visit, seen, caught: caught.slice(1) })
    },
  }
}

function planOf(platform: Platform): ChannelPlan {
  const { prefix, length } = platform
  return { name: 'token', kind: 'token', use: 'access', terms: (knobs) => termsOf(platform, knobs), prefix, length }
}

/** The usual lifetime of all stands for the platform's own. */
function termsOf({ reissue, lifeSeconds, windowSeconds = 300 }: Platform, knobs: Knobs): Terms {
  const ttlMs = (knobs.ttlSeconds === defaultKnobs.ttlSeconds ? lifeSeconds : knobs.ttlSeconds) * 1_000
  const usualMs = Math.min(windowSeconds * 1_000, ttlMs / 4)
  return {
    reissue: knobs.reissue ?? reissue,
    ttlMs,
    overlapMs: knobs.overlapSeconds === null ? usualMs : knobs.overlapSeconds * 1_000,
    windowMs: knobs.windowSeconds === null ? usualMs : knobs.windowSeconds * 1_000,
  }
}

function planNamed(name: PlatformName): ChannelPlan {
  return plans.get(name) ?? planOf(platforms[name])
}

type Visited = {
  readonly world: World
  readonly name: PlatformName
  readonly visit: Visit
  readonly seen: SeenOnce
  readonly caught: readonly string[]
}

async function tokenCall({ world, name, visit, seen, caught }: Visited): Promise<Call> {
  const platform = platforms[name]
  const asked = askedOf(platform, visit, await visit.text(), caught)
  const found = asked === null ? null : world.find('platform', platform.who(asked))
  const state = found?.account.platform === name ? found : null
  return {
    account: state?.account.id ?? null,
    kind: 'token',
    forced: false,
    refuse: (code, text = 'simulated error') => refusal(platform, { code, text }),
    answer: () => {
      if (asked === null)
        return refusal(platform, {
          code: 'malformed',
          text: 'method, media type or body is not that of this API',
          status: 400,
        })
      if (state === null) return refusal(platform, platform.nobody)
      const refused = platform.check({ asked, account: state.account, now: world.clock.now(), seen })
      return refused === null ? given(world, state, platform) : refusal(platform, refused)
    },
  }
}

function given(world: World, state: State, platform: Platform): Answer {
  const now = world.clock.now()
  const asked = world.channel(state, planNamed(state.account.platform)).ask(now)
  const { value, expiresAt } = asked.issue
  const body = platform.good({ value, seconds: secondsLeft(expiresAt, now), until: new Date(expiresAt).toISOString() })
  const { tokenAt, lifetimeAt = null, goodStatus = 200 } = platform
  return { status: goodStatus, headers, body, given: { ...asked, tokenAt, lifetimeAt }, refusal: null }
}

function refusal(platform: Platform, refused: Refused): Answer {
  return { ...platform.refuse(refused), headers, given: null, refusal: refused.code }
}

/** The call as this platform reads it; null when it is not made as its documentation says. */
function askedOf(platform: Platform, visit: Visit, text: string, caught: readonly string[]): Asked | null {
  const { method, reads } = platform
  if (visit.method !== method) return null
  const type = (visit.headers.get('content-type') ?? '').toLowerCase()
  const { query, headers: sent } = visit
  if (reads === 'json') {
    const json = type.startsWith('application/json') ? jsonOf(text) : null
    if (json === null) return null
    const raw = (key: string): unknown => (Object.hasOwn(json, key) ? json[key] : undefined)
    return { query, headers: sent, caught, raw, param: (key) => textOf(raw(key)) }
  }
  if (reads === 'form' && !type.startsWith('application/x-www-form-urlencoded')) return null
  const fields = reads === 'form' ? new URLSearchParams(text) : query
  for (const key of new Set(fields.keys())) if (fields.getAll(key).length > 1) return null
  const raw = (key: string): string => fields.get(key) ?? ''
  return { query, headers: sent, caught, raw, param: raw }
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function jsonOf(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : null
  } catch {
    return null // Not JSON: the call is malformed.
  }
}

/** A call of the platform's other API, which only checks the token, where this platform looks for it. */
function useCall(world: World, name: PlatformName, visit: Visit): Call {
  const platform = platforms[name]
  const { badToken, shown } = platform
  const value =
    'query' in shown ? visit.query.get(shown.query) : afterPrefix(visit.headers.get(shown.header), shown.prefix)
  const judged = value === null ? null : world.judge(value)
  const owner = judged === null ? null : world.find('platform', judged.issue.channel.account)
  return {
    account: owner?.account.id ?? null,
    kind: 'api',
    forced: false,
    refuse: (code, text = 'simulated error') => refusal(platform, { code, text }),
    answer: () => {
      const isGood = judged?.verdict === 'alive' && owner?.account.platform === name
      if (isGood) return { status: 200, headers, body: { ok: true }, given: null, refusal: null }
      return { status: badToken.status, headers, body: badToken.body, given: null, refusal: badToken.code }
    },
  }
}

function afterPrefix(value: string | null, prefix: string): string | null {
  const isShown = value?.toLowerCase().startsWith(prefix.toLowerCase()) === true
  return isShown ? value.slice(prefix.length) : null
}

function nowhere(name: string): Call {
  const answer = (): Answer => ({
    status: 404,
    headers,
    body: { error: `there is no platform ${JSON.stringify(name)}`, known: [...platformNames] },
    given: null,
    refusal: 404,
  })
  return { account: null, kind: 'api', forced: false, answer, refuse: answer }
}
