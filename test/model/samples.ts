/** Sources, tokens and entries for tests, ordinary in everything that the test does not name. */
import { Secret } from '../../src/base/secret.ts'
import { newEntry, type Entry, type Token } from '../../src/model/entry.ts'
import type { RefreshPolicy, Source } from '../../src/model/source.ts'
import type { Semantics } from '../../src/model/semantics.ts'

/** An instant in 2026; any would do. */
export const t0 = Date.UTC(2026, 0, 5, 8)
export const second = 1_000
export const minute = 60_000
export const hour = 3_600_000
export const day = 86_400_000

export type Changed = {
  readonly name?: string
  readonly identity?: string
  readonly channel?: string
  readonly generation?: string
  readonly needs?: readonly string[]
  readonly reissue?: Semantics['reissue']
  readonly semantics?: Partial<Semantics>
  readonly policy?: Partial<RefreshPolicy>
  readonly seed?: string
}

/** A source whose reissue retires the previous token after five minutes, as WeChat's classic mode does. */
export function sampleSource(changed: Changed = {}): Source {
  return {
    name: changed.name ?? 'weixin',
    kind: 'sample',
    definition: { provider: 'sample' },
    settings: null,
    policy: { minIntervalMs: 30 * second, timeoutMs: 8 * second, ...changed.policy },
    needs: changed.needs ?? [],
    semantics: {
      reissue: changed.reissue ?? 'retires-previous',
      graceMs: 5 * minute,
      windowMs: 5 * minute,
      limits: {},
      fallbackTtlMs: 2 * hour,
      inject: { query: 'access_token' },
      invalidTokenCodes: [40001],
      ...changed.semantics,
    },
    identity: changed.identity ?? 'sample:wx1',
    ...(changed.channel === undefined ? {} : { channel: changed.channel }),
    generation: changed.generation ?? 'g1',
    origin: 'file',
    credential: null,
    seed: changed.seed === undefined ? null : { value: new Secret(changed.seed), digest: `digest of ${changed.seed}` },
    callback: null,
  }
}

export const reissues: readonly Semantics['reissue'][] = [
  'retires-previous',
  'same-until-window',
  'same-until-expiry',
  'extends',
  'independent',
]

/** A token of two hours that was issued at `t0`. */
export function sampleToken(changed: Partial<Token> = {}): Token {
  return {
    value: 'token-1',
    version: 1,
    issuedAt: t0,
    expiresAt: t0 + 2 * hour - 2 * second,
    lifetimeMs: 2 * hour,
    isGuessed: false,
    isUnconfirmed: false,
    identity: 'sample:wx1',
    fields: { access_token: 'token-1', expires_in: 7_200 },
    askedWith: {},
    ...changed,
  }
}

/** An entry at rest: one token, due in 80 minutes, everything resolved. */
export function sampleEntry(changed: Partial<Entry> = {}): Entry {
  return {
    ...newEntry(t0),
    token: sampleToken(),
    version: 1,
    epoch: 1,
    resolvedEpoch: 1,
    dueAt: t0 + 80 * minute,
    ...changed,
  }
}

/** Freezes a value and all that is in it, so that a function which is not pure fails. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const each of Object.values(value)) frozen(each)
  return value
}
