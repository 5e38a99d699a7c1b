/**
 * A channel is one line of values that an upstream issues to one account: the classic tokens, the stable tokens, the
 * jsapi tickets. It knows which values live, and what issuing another one does to the ones before.
 *
 * All times are epoch milliseconds of the simulator's own clock: the upstream's truth.
 */

/** What a second issue gives, and does to the first value. `force` always gives a new one. */
export const reissues = [
  'retires-previous',
  'same-until-window',
  'same-until-expiry',
  'extends',
  'independent',
] as const
export type Reissue = (typeof reissues)[number]

export type Terms = {
  readonly reissue: Reissue
  readonly ttlMs: number
  /** How long the previous value lives on after a new one was issued. */
  readonly overlapMs: number
  /** For `same-until-window`: a new value is given out when less than this is left. */
  readonly windowMs: number
}

export type Issue = {
  readonly value: string
  readonly channel: Channel
  /** The end that was told to the caller. */
  expiresAt: number
  /** The end in truth: earlier than `expiresAt` when superseded or revoked. */
  endsAt: number
}

/** `stale`: superseded, revoked, or forgotten; `expired`: it is the latest, and its told time is over. */
export type Verdict = 'alive' | 'expired' | 'stale'

/** Values of every channel, so that an ordinary call can be judged by its token alone. */
export type TokenBook = Map<string, Issue>

/** Upstreams whose tokens live side by side keep at most this many per account. */
const siblingsMax = 10_000

export type ChannelOptions = {
  readonly account: string
  /** Access tokens open the ordinary API; tickets do not. */
  readonly use: 'access' | 'ticket'
  readonly book: TokenBook
  readonly terms: () => Terms
  readonly mint: () => string
  /** Hears of each issue that somebody else caused. */
  readonly onForeign: (at: number) => void
}

export class Channel {
  readonly account: string
  readonly use: 'access' | 'ticket'
  readonly #book: TokenBook
  readonly #terms: () => Terms
  readonly #mint: () => string
  #current: Issue | null = null
  #previous: Issue | null = null
  /** Only for `independent`: earlier values, oldest first. */
  #siblings: Issue[] = []
  /** Issues that somebody else will cause; their values are minted early so that looking never spends chance. */
  #foreign: { readonly at: number; readonly value: string }[] = []
  readonly #onForeign: (at: number) => void

  constructor(options: ChannelOptions) {
    this.account = options.account
    this.use = options.use
    this.#book = options.book
    this.#terms = options.terms
    this.#mint = options.mint
    this.#onForeign = options.onForeign
  }

  /** What a fetch at `now` gets: the value, and whether it is a new one. */
  ask(now: number, force = false): { readonly issue: Issue; readonly fresh: boolean } {
    this.#settle(now)
    const terms = this.#terms()
    const current = this.#current
    if (!force && current !== null && now < current.endsAt) {
      if (terms.reissue === 'same-until-expiry') return { issue: current, fresh: false }
      if (terms.reissue === 'same-until-window' && current.expiresAt - now >= terms.windowMs) {
        return { issue: current, fresh: false }
      }
      if (terms.reissue === 'extends') {
        current.expiresAt = now + terms.ttlMs
        current.endsAt = current.expiresAt
        return { issue: current, fresh: false }
      }
    }
    return { issue: this.#issue(now, this.#mint(), terms), fresh: true }
  }

  /** Lets somebody else fetch a new value at `at`, now or later. Answers that value. */
  rotateAt(at: number): string {
    const value = this.#mint()
    this.#foreign.push({ at, value })
    this.#foreign.sort((left, right) => left.at - right.at)
    if (this.#foreign.length > 100) this.#foreign.shift()
    return value
  }

  verdict(issue: Issue, now: number): Verdict {
    this.#settle(now)
    if (now < issue.endsAt) return 'alive'
    return issue === this.#current && now >= issue.expiresAt ? 'expired' : 'stale'
  }

  /** The latest value, alive or not. */
  current(now: number): Issue | null {
    this.#settle(now)
    return this.#current
  }

  /** Kills every value that lives; answers how many. */
  revokeAll(now: number): number {
    this.#settle(now)
    const alive = [this.#current, this.#previous, ...this.#siblings].filter(
      (issue) => issue !== null && now < issue.endsAt,
    )
    for (const issue of alive) if (issue !== null) issue.endsAt = now
    return alive.length
  }

  /** Forgets everything; the values become unknown. */
  drop(): void {
    for (const issue of [this.#current, this.#previous, ...this.#siblings]) {
      if (issue !== null) this.#book.delete(issue.value)
    }
    this.#current = null
    this.#previous = null
    this.#siblings = []
    this.#foreign = []
  }

  #settle(now: number): void {
    for (let next = this.#foreign[0]; next !== undefined && next.at <= now; next = this.#foreign[0]) {
      this.#foreign.shift()
      this.#issue(next.at, next.value, this.#terms())
      this.#onForeign(next.at)
    }
  }

  #issue(now: number, value: string, terms: Terms): Issue {
    const issue: Issue = { value, channel: this, expiresAt: now + terms.ttlMs, endsAt: now + terms.ttlMs }
    this.#book.set(value, issue)
    const before = this.#current
    this.#current = issue
    if (terms.reissue === 'independent') {
      if (before !== null) this.#siblings.push(before)
      this.#prune(now)
      return issue
    }
    // Never more than two generations live: the one before the previous dies at once, overlap or not.
    if (this.#previous !== null) this.#book.delete(this.#previous.value)
    this.#previous = before
    // An upstream that repeats its value until the end only replaces a value that has died, or that is being replaced by force.
    const overlapMs = terms.reissue === 'same-until-expiry' || terms.reissue === 'extends' ? 0 : terms.overlapMs
    if (before !== null) before.endsAt = Math.min(before.endsAt, now + overlapMs)
    return issue
  }

  #prune(now: number): void {
    // The siblings are in order of issue, and mostly in order of death, so the front is where the dead are.
    let dead = 0
    for (const issue of this.#siblings) {
      if (now < issue.endsAt && this.#siblings.length - dead <= siblingsMax) break
      this.#book.delete(issue.value)
      dead += 1
    }
    if (dead > 0) this.#siblings.splice(0, dead)
  }
}
