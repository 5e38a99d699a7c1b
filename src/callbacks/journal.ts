/** The last messages of each source on this node, for people who look why one did not arrive: never content or secrets. */
import type { Clock } from '../base/env.ts'
import type { CallbackEvent, ZhongkongEvent } from '../model/event.ts'
import type { Message } from '../model/message.ts'
import type { Forwarded } from './forward.ts'
import type { Refusal } from './scheme.ts'

/**
 * What became of a request.
 * - `checked`: the platform's check of the URL, answered. `taken`: it was for this server, and is kept.
 * - `forwarded`: a target's answer was passed back. `unanswered`: no answer in time, so it was acknowledged here.
 * - `ignored`: no target wanted it. `repeated`: it had been handled, or was being handled.
 * - `failed`: not handled; the platform was told so and sends it again. `refused`: see `Refusal`.
 */
export const verdicts = [
  'checked',
  'taken',
  'forwarded',
  'unanswered',
  'ignored',
  'repeated',
  'failed',
  'refused',
] as const

export type Verdict = (typeof verdicts)[number]

export type Heard = {
  /** Epoch milliseconds. */
  readonly at: number
  readonly verdict: Exclude<Verdict, 'refused'>
  readonly type: string | null
  readonly event: string | null
  readonly account: string | null
  readonly tookMs: number
  readonly forwards: readonly Forwarded[]
}

export type Refusals = { readonly reason: Refusal; readonly count: number; readonly lastAt: number }

export type Facts = Pick<Message, 'type' | 'event' | 'account'>

export type Journal = {
  /** Begins now; the answer notes what became of it. What is still being forwarded is added when it has ended. */
  begin(source: string, facts: Facts): (verdict: Heard['verdict'], forwards?: Promise<readonly Forwarded[]>) => void
  refuse(source: string | null, reason: Refusal): void
  /** The newest first. */
  messages(source: string): readonly Heard[]
  refusals(source: string): readonly Refusals[]
}

export type JournalOptions = {
  readonly clock: Clock
  readonly emit: (event: ZhongkongEvent) => void
  /** Counts; null is a source that is not there or takes no callbacks. */
  readonly count: (source: string | null, verdict: Verdict) => void
}

/** Messages kept of one source, and sources of which any are kept. */
const messagesMax = 50
const sourcesMax = 200
/** Names of a message are the platform's, so they are cut, in characters. */
const wordMax = 64
/** The same complaint about the same source is told once in so many milliseconds. */
const complainMs = 60_000
/** Complaints remembered at most. */
const complaintsMax = 1_000

type Page = { readonly messages: Heard[]; readonly refusals: Map<Refusal, Refusals> }

export function createJournal({ clock, emit, count }: JournalOptions): Journal {
  const pages = new Map<string, Page>()
  const complain = complaints(clock, emit)
  const pageOf = (source: string): Page => {
    const page = pages.get(source) ?? { messages: [], refusals: new Map<Refusal, Refusals>() }
    pages.delete(source)
    pages.set(source, page)
    const [oldest] = pages.keys()
    if (pages.size > sourcesMax && oldest !== undefined) pages.delete(oldest)
    return page
  }
  const complainOf = (name: string, ended: readonly Forwarded[]): void => {
    for (const { to, outcome } of ended) {
      if (outcome !== 'answered') complain({ type: 'forward-failed', name, at: clock.now(), to, outcome })
    }
  }
  return {
    begin: (source, facts) => {
      const [at, startedAt] = [clock.now(), clock.monotonic()]
      return (verdict, forwards) => {
        const { messages } = pageOf(source)
        const tookMs = clock.monotonic() - startedAt
        const noted = { at, verdict, ...wordsOf(facts), tookMs, forwards: [] as readonly Forwarded[] }
        messages.unshift(noted)
        if (messages.length > messagesMax) messages.pop()
        count(source, verdict)
        void forwards?.then((ended) => {
          noted.forwards = ended
          complainOf(source, ended)
        })
      }
    },
    refuse: (name, reason) => {
      count(name, 'refused')
      if (name === null) return
      const at = clock.now()
      const { refusals } = pageOf(name)
      refusals.set(reason, { reason, count: (refusals.get(reason)?.count ?? 0) + 1, lastAt: at })
      complain({ type: 'callback-refused', name, at, reason })
    },
    messages: (source) => pages.get(source)?.messages.map((each) => ({ ...each })) ?? [],
    refusals: (source) => [...(pages.get(source)?.refusals.values() ?? [])],
  }
}

/** Tells the same thing of the same source once, and again when it has been quiet for a while. */
function complaints(clock: Clock, emit: (event: ZhongkongEvent) => void): (event: CallbackEvent) => void {
  const toldAt = new Map<string, number>()
  return (event) => {
    const key = JSON.stringify({ ...event, at: 0 })
    const now = clock.monotonic()
    if (now - (toldAt.get(key) ?? -Infinity) < complainMs) return
    if (toldAt.size >= complaintsMax) toldAt.clear()
    toldAt.set(key, now)
    emit(event)
  }
}

function wordsOf({ type, event, account }: Facts): Facts {
  const cut = (word: string | null): string | null => word?.slice(0, wordMax) ?? null
  return { type: cut(type), event: cut(event), account: cut(account) }
}
