/** How WeChat's Open Platform is asked: JSON by POST, and all but the first call with the component_access_token. */
import type { JsonObject } from '../base/json.ts'
import type { Failed } from '../model/failure.ts'
import { ask, requestRefused, type Answer, type Ask } from './ask.ts'
import { isNoError, judgeBadStatus } from './errcode-answer.ts'
import { refused } from './error-table.ts'
import type { Call } from './provider.ts'
import { componentCallErrors } from './wechat-open-errors.ts'

/** With whose token a call is asked. */
export type Component = {
  /** The source of the third-party platform; null where that is the very source that asks. */
  readonly name: string | null
  readonly appid: string
  readonly base_url: string
  readonly token: string
}

export function openPost(url: string, body: JsonObject): Ask {
  return { method: 'POST', url, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

/** A call under `/cgi-bin/component/`, with the platform's token and appid in it. */
export function componentPost({ appid, base_url, token }: Component, api: string, body: JsonObject): Ask {
  const query = new URLSearchParams({ component_access_token: token })
  const url = `${base_url}/cgi-bin/component/${api}?${query.toString()}`
  return openPost(url, { component_appid: appid, ...body })
}

/** The component of a source that asks with the token of another. */
export function componentOf(name: string, base_url: string, call: Call): Component | Failed {
  const input = call.inputs.get(name)
  if (input?.account === undefined) return requestRefused(`the token of ${name} was not given`)
  return { name, appid: input.account, base_url, token: input.token }
}

/** Asks for something that is no token: nothing is issued behind it, whatever becomes of the answer. */
export async function askComponent<Told>(
  component: Component,
  { api, body, bytesMax, secrets = [] }: Question,
  call: Call,
  read: (answer: JsonObject) => Told | Failed,
): Promise<Told | Failed> {
  const request = { ...componentPost(component, api, body), ...(bytesMax === undefined ? {} : { bytesMax }) }
  return await ask(request, call, (answer) => refusalOf(component, answer, { secrets, call }) ?? read(answer.body))
}

export type Question = {
  readonly api: string
  readonly body: JsonObject
  readonly bytesMax?: number
  /** What is sent, beside the token, and must not be told. */
  readonly secrets?: readonly string[]
}

/** What an answer refuses; null where it does not. `holdsToken`: it holds one all the same. */
export function refusalOf(
  { name, token }: Component,
  { status, body }: Answer,
  { secrets, call, holdsToken = false }: Sent,
): Failed | null {
  const { errcode, errmsg } = body
  if (!isNoError(errcode)) {
    return refused({
      errcode,
      errmsg,
      table: componentCallErrors,
      secrets: [token, ...secrets],
      input: name ?? undefined,
      now: call.env.clock.now(),
    })
  }
  return status >= 400 ? judgeBadStatus(status, holdsToken) : null
}

type Sent = { readonly secrets: readonly string[]; readonly call: Call; readonly holdsToken?: boolean }

export function isFailed(value: object): value is Failed {
  return 'outcome' in value && value.outcome !== 'issued'
}
