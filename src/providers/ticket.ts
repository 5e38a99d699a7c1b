/** What all tickets have in common: one GET with the token of another source, answered with `ticket`. */
import type { Attempt } from '../model/failure.ts'
import { ask, requestRefused } from './ask.ts'
import { judgeErrcodeAnswer } from './errcode-answer.ts'
import type { ErrorTable } from './error-table.ts'
import type { Call } from './provider.ts'

export type TicketCall = {
  /** The source whose token is sent. */
  readonly of: string
  /** Everything before the query. */
  readonly url: string
  readonly type?: string
  readonly errors: ErrorTable
}

/** Fields of a ticket answer. */
export const ticketFields = ['ticket', 'expires_in', 'errcode', 'errmsg'] as const

export async function askForTicket({ of, url, type, errors }: TicketCall, call: Call): Promise<Attempt> {
  const token = call.inputs.get(of)?.token
  if (token === undefined) return requestRefused(`the token of ${of} was not given`)
  const query = new URLSearchParams({ access_token: token, ...(type === undefined ? {} : { type }) })
  return await ask({ method: 'GET', url: `${url}?${query.toString()}` }, call, (answer) =>
    judgeErrcodeAnswer(answer, { field: 'ticket', errors, secrets: [token], input: of, now: call.env.clock.now() }),
  )
}
