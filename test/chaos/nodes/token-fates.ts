/** What became of each token at the upstream, worked out from the issues alone. */
import type { History, IssuedLine } from './history.ts'

export type Fate = {
  readonly source: string
  readonly token: string
  readonly issuedAt: number
  /** The request that it was issued to. */
  readonly id: number
  /** The two issues after this one, where they bear on it. */
  readonly overtakenAt: number | null
  readonly overtakenTwiceAt: number | null
  /** When the upstream stops taking it. */
  readonly diesAt: number
}

export class TokenFates {
  readonly #fates = new Map<string, Fate>()
  readonly #bySource = new Map<string, Fate[]>()

  constructor(history: History) {
    const issues = history.lines.filter((line): line is IssuedLine => line.type === 'issued')
    for (const [source, facts] of Object.entries(history.sources)) {
      const own = issues.filter((line, index) => {
        return line.source === source && issues.findIndex(({ token }) => token === line.token) === index
      })
      const fates = own.map(({ at, id, token }, index): Fate => {
        const [next, second] = facts.overlapMs === null ? [] : [own[index + 1]?.at, own[index + 2]?.at]
        const overlapEnds = next === undefined ? Infinity : next + (facts.overlapMs ?? Infinity)
        const diesAt = Math.min(at + facts.lifetimeMs, overlapEnds, second ?? Infinity)
        const overtaken = { overtakenAt: next ?? null, overtakenTwiceAt: second ?? null }
        return { source, token, issuedAt: at, id, ...overtaken, diesAt }
      })
      this.#bySource.set(source, fates)
      for (const fate of fates) this.#fates.set(fate.token, fate)
    }
  }

  of(token: string): Fate | undefined {
    return this.#fates.get(token)
  }

  /** The one or two issues that overtook a token, up to an instant. */
  after(fate: Fate, until: number): readonly Fate[] {
    const own = this.ofSource(fate.source)
    const index = own.indexOf(fate)
    return own.slice(index + 1, index + 3).filter(({ issuedAt }) => issuedAt <= until)
  }

  /** Oldest first. */
  ofSource(source: string): readonly Fate[] {
    return this.#bySource.get(source) ?? []
  }
}
