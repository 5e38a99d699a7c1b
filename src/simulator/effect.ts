/**
 * What a fault does to a call. Some come before the upstream does anything, so that nothing is issued; some come after
 * it, so that a value was issued whatever the caller sees. Which it is, is part of each effect's meaning.
 */
import { z } from 'zod'
import type { CallKind } from './upstream.ts'

const code = z.union([z.number().int(), z.string().min(1).max(64)])
const text = z.string().max(10_000)
const ms = z
  .number()
  .min(0)
  .max(365 * 86_400_000)
const status = z.number().int().min(200).max(599)

export const lifetimeForms = {
  /** Left out. */
  missing: undefined,
  /** The right number, as a text. */
  text: null,
  zero: '0',
  negative: '-1',
  float: '7199.5',
  absurd: '99999999999999',
  overflow: '1e400',
  nan: 'NaN',
  'nan-text': '"NaN"',
  suffixed: '"7200s"',
  null: 'null',
  array: '[7200]',
  empty: '""',
} as const

export const tokenForms = ['empty', 'missing', 'null', 'number', 'crlf', 'non-ascii', 'long', 'dead'] as const

const effects = [
  /** The upstream refuses. Nothing is issued. */
  z.strictObject({ type: z.literal('errcode'), code, text: text.optional() }),
  /** A bare HTTP status. `issues`: a value was issued first, as when a gateway gives up waiting. */
  z.strictObject({
    type: z.literal('status'),
    status,
    body: text.default(''),
    retryAfter: z.string().max(100).optional(),
    issues: z.boolean().default(false),
  }),
  /** A page instead of the answer, as captive portals and firewalls give it; issued first unless said otherwise. */
  z.strictObject({ type: z.literal('html'), status: status.default(200), issues: z.boolean().default(true) }),
  /** A redirect. Nothing is issued. */
  z.strictObject({
    type: z.literal('redirect'),
    status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]).default(302),
    location: text.default('https://example.com/login'),
  }),
  /** No connection: the request never reaches the upstream, and is not counted. */
  z.strictObject({
    type: z.literal('refuse'),
    code: z
      .enum(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])
      .default('ECONNREFUSED'),
  }),
  /** The connection is reset after the request arrived and before anything was issued. */
  z.strictObject({ type: z.literal('reset') }),
  /** A value is issued, then the connection is reset: the caller never learns it. */
  z.strictObject({ type: z.literal('lose-answer') }),
  /** No answer until the caller gives up. `issues`: a value was issued all the same. */
  z.strictObject({ type: z.literal('hang'), issues: z.boolean().default(false) }),
  /** A delay before or after the issue. The upstream goes on even when the caller has given up. */
  z.strictObject({ type: z.literal('slow'), ms, when: z.enum(['before', 'after']).default('before') }),

  // The rest leave the issue alone and spoil the answer.
  /** Only the first bytes, as if the answer were complete. Default: half of it. */
  z.strictObject({ type: z.literal('truncate'), keep: z.number().int().min(0).optional() }),
  /** Only the first bytes, then the connection breaks. Default: half of it. */
  z.strictObject({ type: z.literal('cut'), keep: z.number().int().min(0).optional() }),
  /** The body comes in little pieces. */
  z.strictObject({
    type: z.literal('drip'),
    bytes: z.number().int().min(1).default(1),
    everyMs: ms.default(1_000),
  }),
  /** So many spaces before the body: valid JSON, and too long. Streamed, never in memory as a whole. */
  z.strictObject({ type: z.literal('huge'), bytes: z.number().int().min(1).max(1e12).default(100_000_000) }),
  z.strictObject({ type: z.literal('bom') }),
  z.strictObject({ type: z.literal('content-type'), value: z.string().max(200).default('text/plain') }),
  /** The lifetime in an odd form, or as the raw JSON text given. */
  z.strictObject({
    type: z.literal('lifetime'),
    as: z.enum(Object.keys(lifetimeForms) as (keyof typeof lifetimeForms)[]).default('missing'),
    raw: text.optional(),
  }),
  /** Another token than the one that was issued: none of these is accepted afterwards. */
  z.strictObject({ type: z.literal('token'), as: z.enum(tokenForms) }),
  /** An errcode beside the token. */
  z.strictObject({ type: z.literal('errcode-with-token'), code, text: text.default('simulated error') }),
  /** The token's key twice: first with a value that is not good, then with the real one. */
  z.strictObject({ type: z.literal('duplicate-keys') }),
  /** The value given out now dies so long after its issue, whatever the answer says. */
  z.strictObject({ type: z.literal('revoke-early'), afterMs: ms }),
  /** Somebody else fetches a new value so long after this call. */
  z.strictObject({ type: z.literal('foreign-refresher'), afterMs: ms.default(0) }),
] as const

export const effectSchema = z.discriminatedUnion('type', effects)

export type Effect = z.output<typeof effectSchema>
export type EffectSettings = z.input<typeof effectSchema>
export type EffectType = Effect['type']

/** These need a value in the answer, so they wait for a call that issues. */
const issuingOnly: ReadonlySet<EffectType> = new Set<EffectType>([
  'lifetime',
  'token',
  'errcode-with-token',
  'duplicate-keys',
  'revoke-early',
  'foreign-refresher',
])

export function suits(effect: Effect, kind: CallKind): boolean {
  return kind !== 'api' || !issuingOnly.has(effect.type)
}

/** True when the upstream never gets to answer, so that nothing is issued. */
export function preventsIssue(effect: Effect): boolean {
  switch (effect.type) {
    case 'errcode':
    case 'redirect':
    case 'refuse':
    case 'reset':
      return true
    case 'status':
    case 'html':
    case 'hang':
      return !effect.issues
    case 'lose-answer':
    case 'slow':
    case 'truncate':
    case 'cut':
    case 'drip':
    case 'huge':
    case 'bom':
    case 'content-type':
    case 'lifetime':
    case 'token':
    case 'errcode-with-token':
    case 'duplicate-keys':
    case 'revoke-early':
    case 'foreign-refresher':
      return false
  }
}
