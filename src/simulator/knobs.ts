/**
 * The knobs: how an upstream behaves where platforms differ or where a test wants it otherwise. They hold for all
 * accounts, or for one. Lengths are in seconds, because that is what these platforms speak.
 */
import { z } from 'zod'
import { reissues } from './channel.ts'

const seconds = z.number().min(0).max(1e10)
const count = z.number().int().min(0)
const wait = z.number().min(0).max(86_400_000)

export const knobsSchema = z.strictObject({
  /** Lifetime of a token. Default 7200. */
  ttlSeconds: seconds.positive(),
  /** Lifetime of a ticket. Default: as `ttlSeconds`. */
  ticketTtlSeconds: seconds.positive().nullable(),
  /** How long a replaced token lives on. Default: 300, or a quarter of a lifetime shorter than 1200. */
  overlapSeconds: seconds.nullable(),
  /** How long before its end a stable token or a ticket is replaced. Default: 300, or a quarter likewise; Feishu's: 1800. */
  windowSeconds: seconds.nullable(),
  /** What a second fetch gives, for all but WeChat's tokens. Default: what the platform does. */
  reissue: z.enum(reissues).nullable(),
  /** The same for tickets. Default: the same until its window (WeChat, Feishu) or its end (others). */
  ticketReissue: z.enum(reissues).nullable(),
  /** Fetches of `/cgi-bin/token` a day; the day begins at 00:00 in Shanghai. Default 2000. */
  classicPerDay: count,
  /** Calls of `/cgi-bin/stable_token`. Defaults 10 000 and 500 000. */
  stablePerMinute: count,
  stablePerDay: count,
  /** Forced refreshes of a stable token. Defaults 20 a day, 30 seconds apart. */
  forcePerDay: count,
  forceGapSeconds: seconds,
  /** A forced refresh too soon gets the unchanged token, or 45011. The platform does not say which. Default `same`. */
  forceTooSoon: z.enum(['same', 'refuse']),
  /** Calls of both `clear_quota` together. Default 10. */
  clearQuotaPerMonth: count,
  /** WeCom: calls of gettoken a minute for one corp; beyond it, blocked for 60 seconds. Default 10 000. */
  corpPerMinute: count,
  /** WeCom: jsapi tickets an hour, for one corp and for one app. Defaults 400 and 100. */
  corpTicketsPerHour: count,
  appTicketsPerHour: count,
  /** WeCom: so many wrong gettoken calls from one IP in an hour block that IP for an hour. Default 2000. */
  wrongCallsPerHour: count,
  /**
   * Addresses that may call; null: any. A WeChat official account checks them when a token is fetched (40164), WeCom and
   * DingTalk when a token is used (60020, `IpNotInWhiteList`). Default null.
   */
  allowList: z.array(z.string().min(1).max(64)).max(1_000).nullable(),
  /** WeChat: the first token call from an address gets 89503, as if the administrator then agreed. Default false. */
  riskConfirmation: z.boolean(),
  /** Length of new tokens in characters. Default: as the platform. */
  tokenLength: z.number().int().min(32).max(8_192).nullable(),
  /** How often tickets are pushed to third-party apps. Default: as the platform does. */
  pushSeconds: seconds.positive().nullable(),
  /** OAuth 2.0: whether a refresh brings another refresh token; `may`: every other time, by chance. Default `always`. */
  rotation: z.enum(['never', 'may', 'always']),
  /** OAuth 2.0: how long a used refresh token is taken again. Default 0. */
  refreshGraceSeconds: seconds,
  /** OAuth 2.0: a used refresh token that comes after its grace ends all that came of the same consent. Default false. */
  reuseEndsFamily: z.boolean(),
  /** OAuth 2.0: what people say at the authorization endpoint. Default `given`. */
  consent: z.enum(['given', 'denied']),
  /** WeChat's Open Platform: asking with an authorizer_refresh_token brings another one. Default false. */
  authorizerRotates: z.boolean(),
  /** And how long the one before is then taken. Default 300. */
  authorizerGraceSeconds: seconds,
  /** Milliseconds every answer takes, by kind of call. Default none. */
  delayMs: z.strictObject({ token: wait, stable_token: wait, ticket: wait, api: wait }).partial(),
})

export type Knobs = z.output<typeof knobsSchema>

/** Knobs that are given as undefined are knobs left out. */
export const partialKnobsSchema = knobsSchema
  .partial()
  .transform(
    (knobs) => Object.fromEntries(Object.entries(knobs).filter(([, value]) => value !== undefined)) as Partial<Knobs>,
  )
/** Some knobs; those left out keep their value. */
export type PartialKnobs = z.input<typeof partialKnobsSchema>

export const defaultKnobs: Knobs = {
  ttlSeconds: 7_200,
  ticketTtlSeconds: null,
  overlapSeconds: null,
  windowSeconds: null,
  reissue: null,
  ticketReissue: null,
  classicPerDay: 2_000,
  stablePerMinute: 10_000,
  stablePerDay: 500_000,
  forcePerDay: 20,
  forceGapSeconds: 30,
  forceTooSoon: 'same',
  clearQuotaPerMonth: 10,
  corpPerMinute: 10_000,
  corpTicketsPerHour: 400,
  appTicketsPerHour: 100,
  wrongCallsPerHour: 2_000,
  allowList: null,
  riskConfirmation: false,
  tokenLength: null,
  pushSeconds: null,
  rotation: 'always',
  refreshGraceSeconds: 0,
  reuseEndsFamily: false,
  consent: 'given',
  authorizerRotates: false,
  authorizerGraceSeconds: 300,
  delayMs: {},
}

/** A quarter of a short life, five minutes of a long one: what the platforms use for both overlap and window. */
function quarterMs(ttlMs: number): number {
  return Math.min(300_000, ttlMs / 4)
}

/** Lengths of a token in milliseconds, with what is not set worked out from the lifetime. */
export function tokenLengths(knobs: Knobs): { ttlMs: number; overlapMs: number; windowMs: number } {
  return lengths(knobs, knobs.ttlSeconds)
}

/** The same for a ticket. */
export function ticketLengths(knobs: Knobs): { ttlMs: number; overlapMs: number; windowMs: number } {
  return lengths(knobs, knobs.ticketTtlSeconds ?? knobs.ttlSeconds)
}

function lengths(knobs: Knobs, ttlSeconds: number): { ttlMs: number; overlapMs: number; windowMs: number } {
  const ttlMs = ttlSeconds * 1_000
  const overlapMs = knobs.overlapSeconds === null ? quarterMs(ttlMs) : knobs.overlapSeconds * 1_000
  const windowMs = knobs.windowSeconds === null ? quarterMs(ttlMs) : knobs.windowSeconds * 1_000
  return { ttlMs, overlapMs, windowMs }
}
