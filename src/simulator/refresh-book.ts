/**
 * What people granted to one OAuth 2.0 client: codes, and families of refresh tokens. A family begins with one consent; its
 * tokens come one after the other, each in the place of the one before, unless the client's never change.
 *
 * All times are epoch milliseconds of the simulator's own clock.
 */
import type { Issue } from './channel.ts'

/** What the knobs say about refresh tokens. */
export type RefreshTerms = {
  /** Whether this very use brings another one. */
  readonly rotates: boolean
  /** A used one is taken again for so long, and brings the one that took its place. */
  readonly graceMs: number
  /** One that is used after its grace ends the whole family, as RFC 9700 (section 4.14.2) has it. */
  readonly endsFamily: boolean
  readonly mint: () => string
}

export type RefreshCounters = {
  /** Consents that brought a refresh token. */
  readonly granted: number
  /** Uses that brought another one, the same again, and none. */
  readonly rotated: number
  readonly repeated: number
  readonly refused: number
  /** Families that ended because a used token came again. */
  readonly ended: number
}

type Code = {
  readonly redirectUri: string
  readonly challenge: string | null
  readonly scope: string | null
  readonly endsAt: number
  family: Family | null
}

type Family = { readonly scope: string | null; current: string; hasEnded: boolean; readonly issues: Issue[] }
type Member = { readonly family: Family; replacedAt: number | null }

/** What a used refresh token brings. */
export type Used = {
  readonly scope: string | null
  /** The one to use from now on; null when the answer says nothing of it. */
  readonly next: string | null
  readonly remember: (issue: Issue) => void
}

const codeMs = 60_000
const codesMax = 1_000
const membersMax = 10_000
const issuesMax = 20

export class RefreshBook {
  readonly #codes = new Map<string, Code>()
  readonly #members = new Map<string, Member>()
  readonly #counters = { granted: 0, rotated: 0, repeated: 0, refused: 0, ended: 0 }

  get counters(): RefreshCounters {
    return { ...this.#counters }
  }

  /** Every refresh token there ever was, the newest last. */
  get tokens(): readonly string[] {
    return [...this.#members.keys()]
  }

  /** A person consents and is sent back with this code. */
  consent(code: string, given: Omit<Code, 'endsAt' | 'family'>, now: number): void {
    this.#codes.set(code, { ...given, endsAt: now + codeMs, family: null })
    trim(this.#codes, codesMax)
  }

  /** The code, if it is good; one that was used before ends what it was good for. */
  take(code: string, now: number): Omit<Code, 'endsAt' | 'family'> | null {
    const found = this.#codes.get(code)
    if (found === undefined || found.endsAt <= now) return null
    if (found.family === null) return found
    this.#end(found.family, now)
    return null
  }

  /** Begins a family, for a code or without one. */
  grant(value: string, scope: string | null, code?: string): Used {
    const family: Family = { scope, current: value, hasEnded: false, issues: [] }
    this.#remember(value, { family, replacedAt: null })
    const taken = code === undefined ? undefined : this.#codes.get(code)
    if (taken !== undefined) taken.family = family
    this.#counters.granted += 1
    return used(family, value)
  }

  /** Uses a refresh token; null when it is refused. */
  use(value: string, { rotates, graceMs, endsFamily, mint }: RefreshTerms, now: number): Used | null {
    const member = this.#members.get(value)
    if (member === undefined || member.family.hasEnded) return this.#refuse()
    const { family, replacedAt } = member
    if (replacedAt === null && !rotates) {
      this.#counters.repeated += 1
      return used(family, null)
    }
    if (replacedAt === null) {
      member.replacedAt = now
      family.current = mint()
      this.#remember(family.current, { family, replacedAt: null })
      this.#counters.rotated += 1
      return used(family, family.current)
    }
    if (now - replacedAt <= graceMs) {
      this.#counters.repeated += 1
      return used(family, family.current)
    }
    if (endsFamily) this.#end(family, now)
    return this.#refuse()
  }

  /** The person withdraws every consent; answers how many there were. */
  withdraw(now: number): number {
    const families = new Set([...this.#members.values()].map(({ family }) => family))
    const living = [...families].filter(({ hasEnded }) => !hasEnded)
    for (const family of living) endNow(family, now)
    return living.length
  }

  #end(family: Family, now: number): void {
    if (!family.hasEnded) this.#counters.ended += 1
    endNow(family, now)
  }

  #refuse(): null {
    this.#counters.refused += 1
    return null
  }

  #remember(value: string, member: Member): void {
    this.#members.set(value, member)
    trim(this.#members, membersMax)
  }
}

function used(family: Family, next: string | null): Used {
  const remember = (issue: Issue): void => {
    family.issues.push(issue)
    if (family.issues.length > issuesMax) family.issues.shift()
  }
  return { scope: family.scope, next, remember }
}

/** The access tokens that came of it end as well. */
function endNow(family: Family, now: number): void {
  family.hasEnded = true
  for (const issue of family.issues) issue.endsAt = Math.min(issue.endsAt, now)
}

/** Forgets the oldest. */
function trim(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
