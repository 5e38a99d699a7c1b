/**
 * What the platforms with suites have in common: tickets that they push, and organisations whose consent is all that is
 * needed. Reading a message is looking at its fields; nothing is asked and nothing kept.
 */
import type { JsonObject } from '../base/json.ts'
import { Secret } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import type { Message, Push } from '../model/message.ts'
import type { GrantSemantics } from '../model/semantics.ts'
import { failureHints } from './outcome.ts'

export const nothing: Push = { kind: 'none' }

/** The text of a field, trimmed; null when there is none. */
export function textIn(fields: JsonObject, key: string): string | null {
  const value = fields[key]
  const text = typeof value === 'string' ? value.trim() : ''
  return text === '' ? null : text
}

/** What a source says that is asked with a ticket which its platform pushes this often, in milliseconds. */
export function pushedTicket(pushedEveryMs: number, name: string): GrantSemantics {
  const missing = { code: 'ticket_missing', message: `the platform has not pushed ${name} yet` } as const
  return { rotates: 'never', graceMs: 0, pushedEveryMs, missing: { ...missing, hint: failureHints.ticket_missing } }
}

/**
 * The ticket in a message, which lives for `livesMs` from its making; nothing where there is none, or where the message
 * does not say when it was made: an older one could take the place of a newer one then.
 */
export function ticketIn(
  { fields, createdAt }: Pick<Message, 'fields' | 'createdAt'>,
  key: string,
  livesMs: number | null,
): Push {
  const value = textIn(fields, key)
  return value === null || createdAt === null ? nothing : { kind: 'grant', value, at: createdAt, livesMs }
}

/**
 * An organisation's consent, where there is nothing to send: that its source is defined says that it consented, until the
 * platform says that it no longer does, and then until it does so again.
 */
export function consentOf(hint: Text): GrantSemantics {
  const missing = { code: 'authorization_missing', message: 'the organisation has withdrawn its authorisation', hint }
  return { rotates: 'never', graceMs: 0, missing }
}

/** The consent that a definition stands for. */
export function consentSeed(account: string): Secret {
  return new Secret(account)
}

/** An organisation consented at an instant: its source is made if there is none. */
export function consent(
  account: string | null,
  { createdAt }: Pick<Message, 'createdAt'>,
  definition: JsonObject,
): Push {
  if (account === null || createdAt === null) return nothing
  return { kind: 'grant', value: account, at: createdAt, livesMs: null, child: { account, definition } }
}

/** An organisation's authorisation was withdrawn; null is nobody. */
export function withdrawal(account: string | null, { createdAt }: Pick<Message, 'createdAt'>): Push {
  return account === null ? nothing : { kind: 'revoked', child: account, at: createdAt }
}
