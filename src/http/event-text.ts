/** Server-Sent Events: how a fact is written, and who may be told what. */
import type { ZhongkongEvent } from '../model/event.ts'
import { scrub } from '../base/secret.ts'
import type { Language } from '../base/text.ts'
import type { EventAnswer } from '../wire/v1.ts'

/** What whoever may read a source is told of it. Everything else concerns those who run the server. */
const forReaders: ReadonlySet<ZhongkongEvent['type']> = new Set<ZhongkongEvent['type']>([
  'rotated',
  'repeated',
  'failing',
  'recovered',
  'reported',
  'conflict',
  'conflict-over',
  'expired',
  'uncommitted',
  'authorized',
  'revoked',
  'added',
  'changed',
  'removed',
])

export function isForReaders(event: ZhongkongEvent): boolean {
  return forReaders.has(event.type)
}

/** A block of a stream. `data` is one line: JSON has no other. */
export function block(fields: { readonly id: string; readonly event?: string; readonly data?: unknown }): string {
  const event = fields.event === undefined ? '' : `event: ${fields.event}\n`
  const data = fields.data === undefined ? '' : `data: ${JSON.stringify(fields.data)}\n`
  return `id: ${fields.id}\n${event}${data}\n`
}

type Numbered = { readonly seq: number; readonly event: ZhongkongEvent }

/**
 * Writes blocks of facts, each once for each language: of thousands who come back at once, all have missed the same. What is
 * written is kept as long as somebody remembers the fact.
 */
export function createBlocks(idOf: (seq: number) => string): (fact: Numbered, language: Language) => string {
  const written = new WeakMap<Numbered, Map<Language, string>>()
  return (fact, language) => {
    const known = written.get(fact) ?? new Map<Language, string>()
    written.set(fact, known)
    const { seq, event } = fact
    const text = known.get(language) ?? block({ id: idOf(seq), event: event.type, data: eventAnswer(event, language) })
    known.set(language, text)
    return text
  }
}

/** The fact as callers see it: seconds, snake case, texts in their language. */
export function eventAnswer(event: ZhongkongEvent, language: Language): EventAnswer {
  const { type, at, ...rest } = event
  const more: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(rest)) {
    if (key === 'failure') Object.assign(more, failureAnswer(value as Failed | null, language))
    else if (key === 'expiresAt' || key === 'since') more[snake(key)] = Math.floor(Number(value) / 1_000)
    else if (key.endsWith('Ms')) more[`${snake(key.slice(0, -2))}_seconds`] = Number(value) / 1_000
    else more[snake(key)] = typeof value === 'string' ? scrub(value) : value
  }
  return { type, at: at / 1_000, ...more }
}

type Failed = Extract<ZhongkongEvent, { type: 'failing' }>['failure']

function failureAnswer(failure: Failed | null, language: Language): Record<string, unknown> {
  if (failure === null) return {}
  const { code, message, upstream, hint } = failure
  return {
    code,
    message: scrub(message),
    ...(hint === undefined ? {} : { hint: hint[language] }),
    ...(upstream === undefined ? {} : { upstream }),
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
