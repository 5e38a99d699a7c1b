/** What happened: counters for each account, and the last issuing calls. Neither holds a token or secret. */
import { callKinds, type Answer, type Call, type CallKind } from './upstream.ts'

export type KindCounters = {
  /** Requests that reached the upstream. What succeeded without an issue is the rest. */
  readonly calls: number
  /** Answers for which a new value was made, whether or not the answer arrived. */
  readonly issued: number
  /** Answers that gave the same value again. */
  readonly repeated: number
  /** Answers that refused. */
  readonly refused: number
  /** Requests that a fault ended before the upstream did anything. */
  readonly faulted: number
}

/** `forced`: new values among the stable tokens that were asked for by force; `foreign`: issues somebody else caused. */
export type Counters = Readonly<Record<CallKind, KindCounters>> & { readonly forced: number; readonly foreign: number }

export type JournalEntry = {
  /** Epoch milliseconds at which the upstream judged the call. */
  readonly at: number
  /** Null: it named no account that exists. */
  readonly account: string | null
  readonly kind: CallKind
  readonly forced: boolean
  readonly outcome: 'issued' | 'repeated' | 'refused' | 'faulted' | 'foreign'
  readonly code: string | number | null
  /** Types of the fault effects that were applied. */
  readonly faults: readonly string[]
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Sheet = Record<CallKind, Writable<KindCounters>> & { forced: number; foreign: number }

function blank(): Sheet {
  const kind = (): Writable<KindCounters> => ({ calls: 0, issued: 0, repeated: 0, refused: 0, faulted: 0 })
  return { token: kind(), stable_token: kind(), ticket: kind(), api: kind(), forced: 0, foreign: 0 }
}

const nobody = Symbol('calls that named no account')

export class Journal {
  readonly #entriesMax: number
  readonly #sheets = new Map<string | typeof nobody, Sheet>()
  #entries: JournalEntry[] = []

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  /** The call was answered by the upstream itself, or by a fault in its place (then `answer` is null). */
  record(at: number, call: Call, answer: Answer | null, faults: readonly string[]): void {
    const sheet = this.#sheet(call.account)
    const counters = sheet[call.kind]
    const outcome = outcomeOf(answer)
    counters.calls += 1
    if (outcome !== 'accepted') counters[outcome] += 1
    if (outcome === 'issued' && call.forced) sheet.forced += 1
    if (call.kind === 'api' || outcome === 'accepted') return
    const { account, kind, forced } = call
    this.#append({ at, account, kind, forced, outcome, code: answer?.refusal ?? null, faults })
  }

  recordForeign(at: number, account: string, kind: CallKind): void {
    this.#sheet(account).foreign += 1
    this.#append({ at, account, kind, forced: false, outcome: 'foreign', code: null, faults: [] })
  }

  /** Of one account, or the sum of all with the calls that named none. */
  counters(account?: string): Counters {
    const sum = blank()
    const one = account === undefined ? undefined : this.#sheets.get(account)
    if (account !== undefined && one === undefined) return sum
    for (const sheet of one === undefined ? this.#sheets.values() : [one]) {
      for (const kind of callKinds) {
        for (const field of Object.keys(sum[kind]) as (keyof KindCounters)[]) sum[kind][field] += sheet[kind][field]
      }
      sum.forced += sheet.forced
      sum.foreign += sheet.foreign
    }
    return sum
  }

  /** The last entries, oldest first. */
  entries(): readonly JournalEntry[] {
    return this.#entries.slice(-this.#entriesMax)
  }

  clear(account?: string): void {
    if (account !== undefined) {
      this.#sheets.delete(account)
      return
    }
    this.#sheets.clear()
    this.#entries = []
  }

  #append(entry: JournalEntry): void {
    this.#entries.push(entry)
    // Cutting only every so often keeps an entry cheap.
    if (this.#entries.length >= this.#entriesMax * 2) this.#entries = this.#entries.slice(-this.#entriesMax)
  }

  #sheet(account: string | null): Sheet {
    const key = account ?? nobody
    const known = this.#sheets.get(key)
    if (known !== undefined) return known
    const made = blank()
    this.#sheets.set(key, made)
    return made
  }
}

function outcomeOf(answer: Answer | null): 'issued' | 'repeated' | 'refused' | 'faulted' | 'accepted' {
  if (answer === null) return 'faulted'
  if (answer.refusal !== null) return 'refused'
  if (answer.given === null) return 'accepted'
  return answer.given.fresh ? 'issued' : 'repeated'
}
