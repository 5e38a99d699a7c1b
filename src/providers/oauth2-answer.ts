/** What the answer of a token endpoint means, whatever the grant (RFC 6749, section 5). */
import type { Attempt } from '../model/failure.ts'
import { brokenByStatus, refusedByStatus, type Answer } from './ask.ts'
import { judgeBadStatus } from './errcode-answer.ts'
import { refused, type ErrorTable } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'
import { unknown } from './outcome.ts'
import { readPath } from './json-pointer.ts'
import { oauth2Errors } from './oauth2-errors.ts'

/** What one server says otherwise than all the others. */
export type Dialect = {
  readonly errors?: ErrorTable
  /** Paths of codes that say more than `error`, the best first. */
  readonly codes?: readonly (readonly string[])[]
  /** Path of the text of an error. Default: `error_description`. */
  readonly message?: readonly string[]
}

export type Judging = {
  readonly dialect: Dialect
  /** Words that the grant knows otherwise. */
  readonly errors: ErrorTable
  readonly secrets: readonly string[]
  readonly now: number
  /** A refresh token in the answer is the next grant, and no field that callers see. */
  readonly bringsGrant: boolean
}

export function judgeOauth2({ status, body }: Answer, judging: Judging): Attempt {
  const { dialect, secrets, now } = judging
  const { error, access_token, expires_in } = body
  // Only this word says for certain that a server with an error of its own has issued nothing.
  if (status >= 500 && error !== 'temporarily_unavailable') return brokenByStatus(status)
  if (error !== undefined && error !== null && error !== false && error !== '') {
    const byStatus = refusedByStatus(status)
    const otherwise = status >= 400 && byStatus.outcome === 'rejected' ? byStatus.class : 'transient'
    const table = { ...oauth2Errors, ...judging.errors, ...dialect.errors }
    const codes = (dialect.codes ?? []).map((path) => readPath(body, path))
    const errcode = codes.find((code) => Object.hasOwn(table, String(code))) ?? error
    const errmsg = readPath(body, dialect.message ?? ['error_description']) ?? body.error_description
    return refused({ errcode, errmsg, table, otherwise, secrets, now })
  }
  if (status >= 400) return judgeBadStatus(status, access_token !== undefined)
  const attempt = issued(access_token, '/access_token', lifetimeMsOf(expires_in), body)
  return judging.bringsGrant ? withGrant(attempt) : attempt
}

/** As RFC 6749 (appendix A.17) has refresh tokens, and no longer than any that is known. */
const usableRefreshToken = /^[\x20-\x7e]{1,8192}$/

/**
 * Takes the refresh token out of a good answer. Where there is none, the one that was asked with lives on. One that cannot
 * be used makes the whole answer one that is not believed: whoever asks again soon may get a better one.
 */
function withGrant(attempt: Attempt): Attempt {
  if (attempt.outcome !== 'issued') return attempt
  const { refresh_token: value, ...fields } = attempt.issued.fields
  if (value === undefined || value === null || value === '') {
    return { outcome: 'issued', issued: { ...attempt.issued, fields } }
  }
  if (typeof value !== 'string' || !usableRefreshToken.test(value)) {
    return unknown('token_unusable', 'the answer holds a refresh token that cannot be used')
  }
  // Keycloak says 0 of one that does not end, which is no lifetime.
  const lifetimeMs = lifetimeMsOf(fields.refresh_token_expires_in ?? fields.refresh_expires_in)
  return { outcome: 'issued', issued: { ...attempt.issued, fields, grant: { value, lifetimeMs } } }
}
