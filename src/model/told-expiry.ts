/**
 * What one client is told of a token's life. Client libraries take a margin of their own off `expires_in` before they
 * keep a token: with less than that margin left, some ask again at every call, and some keep the token for ever (a time
 * to live of 0 or less is none in several caches). So they are told their margin on top, but only when little is left.
 *
 * What a client keeps (told, less its margin) is never longer than the token may be relied on, and never nothing.
 */

export type ToldExpiry = {
  /** What the client takes off by itself, in milliseconds. */
  readonly marginMs: number
  /** For so long the client shall keep a token after that, as far as the token lives, in milliseconds. */
  readonly floorMs: number
  /** The most that is told, in milliseconds; more than the margin. Infinity is no limit. */
  readonly capMs: number
}

/** For a client that takes nothing off. */
export const plainExpiry: ToldExpiry = { marginMs: 0, floorMs: 0, capMs: Infinity }

/** The floor where a margin is known and nothing else was said, in milliseconds. */
export const floorMsDefault = 60_000

/** Whole seconds are told, so nothing shorter than one can be kept, in milliseconds. */
const keptMsMin = 1_000

/**
 * What a client is told of a token that may be relied on for `leftMs`, in milliseconds. The last second of a life is told
 * as a whole one: it is covered by the two seconds that a believed life is shorter than the told one.
 */
export function toldMs(leftMs: number, { marginMs, floorMs, capMs }: ToldExpiry): number {
  const keptMs = Math.max(keptMsMin, Math.min(leftMs, floorMs))
  return Math.min(Math.max(leftMs, marginMs + keptMs), capMs)
}

/**
 * Seconds that client libraries take off, as their sources have it; docs/sdks.md says where. A margin that is too large
 * here would let a library keep a dead token, so each is of the version that is named there.
 */
export const sdkMarginSeconds = {
  'co-wechat-api': 10,
  easywechat: 0,
  'easywechat-5': 500,
  larksuite: 180,
  'node-easywechat': 0,
  powerwechat: 0,
  silenceper: 1_500,
  'silenceper-stable': 300,
  'wechat-api': 10,
  wechaty: 300,
  wechatpy: 60,
  wxjava: 200,
} as const satisfies Readonly<Record<string, number>>

export type Sdk = keyof typeof sdkMarginSeconds

export function isSdk(name: string): name is Sdk {
  return Object.hasOwn(sdkMarginSeconds, name)
}
