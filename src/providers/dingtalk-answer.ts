/**
 * How DingTalk answers token and ticket calls. The old stack says no with HTTP 200 and a number, the new one with HTTP
 * 4xx and a word; both may answer with the notice of a ban, which has neither.
 */
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import type { Answer } from './ask.ts'
import { banHint, banMs, qpsLimit, qpsLimitPrefix } from './dingtalk-errors.ts'
import { isNoError, judgeBadStatus } from './errcode-answer.ts'
import { refused, type ErrorTable } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'
import { rejected } from './outcome.ts'

export type Stack = 'new' | 'old'

export type Expected = {
  /** The fields that hold the token and the seconds it lives. */
  readonly token: string
  readonly life: string
  readonly errors: ErrorTable
  /** What was sent and must not be told. */
  readonly secrets: readonly string[]
  /** The source whose token was sent. */
  readonly input?: string
  readonly now: number
}

/** The body decides: an error may come with any status, and only the body says which it is. */
export function judgeDingtalkAnswer({ status, body, waitMs }: Answer, expected: Expected): Attempt {
  const { token, life, errors, secrets, input, now } = expected
  if (isBan(body)) return banned(waitMs)
  const no = refusalIn(body)
  if (no !== null) {
    return refused({ ...no, table: tableFor(no.errcode, errors), secrets, input, now, waitMs })
  }
  if (status >= 400) return judgeBadStatus(status, Object.hasOwn(body, token))
  return issued(body[token], `/${token}`, lifetimeMsOf(body[life]), body)
}

/** There are several limits by the second, and more may come. */
function tableFor(errcode: unknown, errors: ErrorTable): ErrorTable {
  return typeof errcode === 'string' && errcode.startsWith(qpsLimitPrefix) ? { [errcode]: qpsLimit } : errors
}

type Refusal = { readonly errcode: unknown; readonly errmsg: unknown }

/** The old stack wraps what its gateway refused in 88; the code that means something is then `sub_code`, a text. */
function refusalIn({ errcode, errmsg, sub_code, sub_msg, code, message }: JsonObject): Refusal | null {
  if (!isNoError(errcode)) {
    const isWrapped = Number(errcode) === 88 && !isNoError(sub_code)
    return isWrapped ? { errcode: sub_code, errmsg: sub_msg ?? errmsg } : { errcode, errmsg }
  }
  return isNoError(code) || code === '' ? null : { errcode: code, errmsg: message }
}

/** The notice of a ban as JSON: `{"status":1111,"wait":5,"source":"x5","punish":"deny"}`. */
function isBan({ status, punish }: JsonObject): boolean {
  return status === 1111 || punish === 'deny'
}

function banned(waitMs: number | null): Attempt {
  const message = 'the upstream answered with the notice of a ban (1111)'
  return rejected({ class: 'quota', code: 'upstream_busy', message, hint: banHint, waitMs: waitMs ?? banMs })
}
