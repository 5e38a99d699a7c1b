/**
 * Whether a token lives, by a call that everybody may make with it, that issues nothing and is no part of the token calls'
 * quota. Only what cannot be anything else is a yes or a no: a page of a firewall, a limit, or an address that is not on
 * the allow-list says nothing about the token.
 */
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import type { Said } from '../model/suspicion.ts'
import { ask, type Ask } from './ask.ts'
import { isNoError } from './errcode-answer.ts'
import type { Call } from './provider.ts'

export type Question = {
  readonly request: Ask
  /** Where the answer says what is wrong. */
  readonly codeField: string
  /** Codes that say that the token is bad (`semantics.invalidTokenCodes`). */
  readonly invalid: readonly (string | number)[]
  /** Whether an answer without an error is what the call gives for a living token. */
  readonly isGood: (body: JsonObject) => boolean
}

export async function probe({ request, codeField, invalid, isGood }: Question, call: Call): Promise<Said> {
  let said: Said = 'unclear'
  await ask(request, call, ({ status, body }) => {
    const code = body[codeField]
    if (isNoError(code)) said = status < 400 && isGood(body) ? 'alive' : 'unclear'
    else said = invalid.some((each) => each === code || String(each) === code) ? 'dead' : 'unclear'
    return nothingIssued
  })
  return said
}

/** The outcomes of `ask` are those of attempts, and this is none. */
const nothingIssued: Attempt = {
  outcome: 'rejected',
  class: 'transient',
  failure: { code: 'probed', message: 'nothing was asked for' },
}

/** WeChat's and WeCom's list of their own addresses, which both tell to whoever has a token. */
export function probeByAddressList(
  baseUrl: string,
  token: string,
  invalid: Question['invalid'],
  call: Call,
): Promise<Said> {
  const url = `${baseUrl}/cgi-bin/getcallbackip?${new URLSearchParams({ access_token: token }).toString()}`
  const isGood = (body: JsonObject): boolean => Array.isArray(body.ip_list)
  return probe({ request: { method: 'GET', url }, codeField: 'errcode', invalid, isGood }, call)
}
