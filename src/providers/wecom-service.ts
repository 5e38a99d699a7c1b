/** WeCom's calls for service providers: JSON by POST, under `/cgi-bin`, with a token in the query where one is needed. */
import type { JsonObject } from '../base/json.ts'
import type { Attempt } from '../model/failure.ts'
import { ask, requestRefused } from './ask.ts'
import { judgeErrcodeAnswer } from './errcode-answer.ts'
import type { ErrorTable } from './error-table.ts'
import type { Call } from './provider.ts'

export type ServiceCall = {
  /** Everything before the query. */
  readonly url: string
  /** Null: a GET. */
  readonly body: JsonObject | null
  /** The token that goes into the query, under which name; `of` is the source that it is of, where that is another one. */
  readonly token?: { readonly name: string; readonly value: string | undefined; readonly of?: string }
  /** Where the answer holds what was asked for. */
  readonly field: string
  readonly errors: ErrorTable
  /** What is sent and must not be told. */
  readonly secrets: readonly string[]
}

export async function askService(service: ServiceCall, call: Call): Promise<Attempt> {
  const { url, body, token, field, errors } = service
  if (token !== undefined && token.value === undefined) return requestRefused(`the ${token.name} was not given`)
  const query = token?.value === undefined ? '' : `?${new URLSearchParams({ [token.name]: token.value }).toString()}`
  const secrets = token?.value === undefined ? service.secrets : [...service.secrets, token.value]
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } as const
  return await ask({ url: url + query, ...(body === null ? { method: 'GET' } : post) }, call, (answer) =>
    judgeErrcodeAnswer(answer, {
      field,
      errors,
      secrets,
      ...(token?.of === undefined ? {} : { input: token.of }),
      now: call.env.clock.now(),
    }),
  )
}
