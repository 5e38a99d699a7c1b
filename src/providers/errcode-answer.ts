/** How WeChat and WeCom answer token and ticket calls: `errcode` and `errmsg`, or the token and `expires_in`. */
import type { Attempt, Failed } from '../model/failure.ts'
import { refusedByStatus, type Answer } from './ask.ts'
import { refused, type ErrorTable } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'
import { unknown } from './outcome.ts'

export type Expected = {
  /** The field that holds the token. */
  readonly field: string
  readonly errors: ErrorTable
  /** What was sent and must not be told. */
  readonly secrets: readonly string[]
  /** The source whose token was sent. */
  readonly input?: string
  readonly now: number
}

/** The body decides, not the HTTP status, because these platforms say no with HTTP 200. */
export function judgeErrcodeAnswer({ status, body }: Answer, expected: Expected): Attempt {
  const { field, errors: table, secrets, input, now } = expected
  const { errcode, errmsg } = body
  if (!isNoError(errcode)) return refused({ errcode, errmsg, table, secrets, input, now })
  if (status >= 400) return judgeBadStatus(status, Object.hasOwn(body, field))
  return issued(body[field], `/${field}`, lifetimeMsOf(body.expires_in), body)
}

/** Missing, null, 0 and "0" say that all went well. */
export function isNoError(errcode: unknown): boolean {
  return errcode === undefined || errcode === null || errcode === 0 || errcode === '0'
}

/** A refusal by status alone; but an answer that contradicts itself by holding a token may have cost the old one. */
export function judgeBadStatus(status: number, holdsToken: boolean): Failed {
  if (holdsToken) return unknown('upstream_status', `the upstream answered HTTP ${status}, yet with a token`)
  return refusedByStatus(status)
}
