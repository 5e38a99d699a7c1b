/**
 * What became of every token at its upstream, in true time: when it was issued, what overtook it, and who killed it.
 * Nobody in the house knows all of this; the checks ask it for the reason why a token is dead.
 */

/**
 * Who caused an issue: `us` within a lease, `late` one of us whose lease was over, so that nobody may ever hear of the
 * answer, or a `stranger`.
 */
export type Issuer = 'us' | 'late' | 'stranger'

/** An issue as seen by the tokens before it. */
export type Overtaking = {
  readonly at: number
  readonly by: Issuer
  /** The process that asked for it, and when its request left; null for a stranger's. */
  readonly asker: { readonly process: string | null; readonly leftAt: number } | null
}

export type Fate = {
  readonly issuedAt: number
  /** The issues after this one that bear on it, oldest first: the second one kills at once, overlap or not. */
  readonly overtaken: Overtaking[]
  /** When it was revoked; null when it was not. */
  killedAt: number | null
  /** When a program first said that it was dead, to a process that lived on; null before. */
  reportedAt: number | null
}

/** Issues after a token that say all there is to say about its end. */
const overtakingsMax = 4

export class Fates {
  readonly #fates = new Map<string, Fate>()
  /** The last values of each channel, the latest at the end. */
  readonly #lines = new Map<string, string[]>()

  /** An issuing request was carried out. False when it gave a value that was there before. */
  issued(channel: string, value: string, { at, by, asker }: Overtaking): boolean {
    const line = this.#lines.get(channel) ?? []
    if (this.#fates.has(value)) return false
    for (const earlier of line) this.#fates.get(earlier)?.overtaken.push({ at, by, asker })
    this.#fates.set(value, { issuedAt: at, overtaken: [], killedAt: null, reportedAt: null })
    this.#lines.set(channel, [...line, value].slice(-overtakingsMax))
    return true
  }

  killed(value: string, at: number): void {
    const fate = this.#fates.get(value)
    if (fate !== undefined) fate.killedAt ??= at
  }

  of(value: string): Fate | undefined {
    return this.#fates.get(value)
  }
}
