/** How Feishu and Lark answer token and ticket calls: `code` is 0, or says what is wrong, with any HTTP status. */
import type { Json, JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import type { Answer, Ask } from './ask.ts'
import { isNoError, judgeBadStatus } from './errcode-answer.ts'
import { refused, type ErrorTable } from './error-table.ts'
import { issued, lifetimeMsOf } from './issued.ts'

export type Expected = {
  /** What of the body is the token, where it stands, and the seconds it lives. */
  readonly read: (body: JsonObject) => { readonly token: Json | undefined; readonly life: Json | undefined }
  readonly place: string
  readonly errors: ErrorTable
  /** What was sent and must not be told. */
  readonly secrets: readonly string[]
  /** The source whose token was sent. */
  readonly input?: string
  readonly now: number
}

/** A POST as these platforms want it, with the header by which they say when a limit is over. */
export function feishuPost(url: string, body: JsonObject, headers: Readonly<Record<string, string>> = {}): Ask {
  return {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
    waitHeader: 'x-ogw-ratelimit-reset',
  }
}

export function judgeFeishuAnswer({ status, body, waitMs }: Answer, expected: Expected): Attempt {
  const { read, place, errors: table, secrets, input, now } = expected
  const { code, msg } = body
  if (!isNoError(code)) return refused({ errcode: code, errmsg: msg, table, secrets, input, now, waitMs })
  const { token, life } = read(body)
  if (status >= 400) return judgeBadStatus(status, token !== undefined)
  return issued(token, place, lifetimeMsOf(life), body)
}
