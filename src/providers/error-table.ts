/** Error codes as data: what each means for us, and what a person can do. One table per platform and kind of call. */
import type { Text } from '../base/text.ts'
import { scrub } from '../base/secret.ts'
import type { Failed, RejectionClass } from '../model/failure.ts'
import { failureHints, rejected } from './outcome.ts'

export type ErrorRow = {
  readonly class: RejectionClass
  /** Milliseconds until asking again makes sense, by the wall clock and the error's text. */
  readonly waitMs?: (now: number, errmsg: string) => number
  readonly hint?: Text | ((errmsg: string) => Text)
  /** The upstream refuses the token that it was asked with: a new one of that source mends it. */
  readonly refusesInput?: true
}

/** Rows by the code's text; numeric texts and numbers are the same code. */
export type ErrorTable = Readonly<Record<string, ErrorRow>>

export type Refusal = {
  readonly errcode: unknown
  readonly errmsg: unknown
  readonly table: ErrorTable
  /** The class of codes that the table does not know. Default `transient`. */
  readonly otherwise?: RejectionClass
  /** Values that must not be told, should the upstream repeat them. */
  readonly secrets: readonly string[]
  /** The source whose token was sent along, where there is one. */
  readonly input?: string | undefined
  readonly now: number
  /** Milliseconds that the upstream asked to wait, in place of the table's; null when it did not. */
  readonly waitMs?: number | null
}

/** What the upstream's error means. */
export function refused(refusal: Refusal): Failed {
  const { table, secrets, input, now } = refusal
  const errmsg = typeof refusal.errmsg === 'string' ? scrub(refusal.errmsg, secrets) : ''
  const errcode = codeOf(refusal.errcode, secrets)
  const row = Object.hasOwn(table, String(errcode)) ? table[String(errcode)] : undefined
  const hint = typeof row?.hint === 'function' ? row.hint(errmsg) : row?.hint
  return rejected({
    class: row?.class ?? refusal.otherwise ?? 'transient',
    code: 'upstream_rejected',
    message: `the upstream refused: ${errcode}${errmsg === '' ? '' : ` ${errmsg}`}`,
    upstream: { errcode, errmsg },
    hint: hint ?? failureHints.upstream_rejected,
    waitMs: refusal.waitMs ?? row?.waitMs?.(now, errmsg),
    refusedInput: row?.refusesInput === true ? input : undefined,
  })
}

function codeOf(code: unknown, secrets: readonly string[]): string | number {
  if (typeof code === 'number') return code
  if (typeof code === 'boolean') return String(code)
  if (typeof code !== 'string') return 'error'
  return /^-?\d{1,12}$/.test(code) ? Number(code) : scrub(code, secrets, 80)
}

/** Everything that is refused until someone changes the configuration, with a hint. */
export function misconfigured(en: string, zh: string): ErrorRow {
  return { class: 'configuration', hint: { en, zh } }
}

/** Everything that an operator can mend at the platform, with a hint. */
export function forbidden(en: string, zh: string): ErrorRow {
  return { class: 'permission', hint: { en, zh } }
}

/** The token that we asked with was refused. */
export const refusedInput: ErrorRow = {
  class: 'transient',
  refusesInput: true,
  hint: {
    en: 'The platform no longer takes the token this was asked with. That token is refreshed first.',
    zh: '平台已不接受请求时使用的令牌，会先刷新该令牌再重试。',
  },
}
