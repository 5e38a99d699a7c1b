/** What the steps of a refresh hand to each other. */
import type { Decision } from '../model/decide.ts'
import type { Entry } from '../model/entry.ts'
import type { Failure } from '../model/failure.ts'
import type { Source } from '../model/source.ts'
import type { Input } from '../providers/provider.ts'

/** A needed source whose token the upstream refused. */
export type Refused = { readonly name: string; readonly token: string }

export type WaitReason = Extract<Decision, { act: 'wait' }>['because'] | 'stopping'

export type Tended =
  /** Nothing defines this name. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'rest'; readonly until: number }
  | { readonly kind: 'wait'; readonly until: number; readonly because: WaitReason }
  /** A needed source has no token that may be used. */
  | { readonly kind: 'blocked'; readonly by: string; readonly failure: Failure | null; readonly until: number }
  | { readonly kind: 'rotated' | 'repeated'; readonly until: number }
  | { readonly kind: 'failed'; readonly until: number; readonly failure: Failure; readonly refused?: Refused }

export type Job = {
  readonly source: Source
  readonly entry: Entry
  readonly revision: number
  readonly decision: Extract<Decision, { act: 'refresh' }>
  readonly inputs: ReadonlyMap<string, Input>
  /** The grant it is asked with; null where there is none. */
  readonly grant: string | null
}

/** The token that a source needs, or why there is none; implemented by the keeper, since it may mean a refresh. */
export type NeedInput = (
  source: string,
  need: string,
) => Promise<{ readonly input: Input } | { readonly failure: Failure | null; readonly until: number }>

/** What is said of a source that waits for somebody to grant it; null for one that does not. */
export function missingOf(source: Source, tended: Tended | null): Failure | null {
  const isWaiting = tended?.kind === 'wait' && tended.because === 'authorization'
  return isWaiting ? (source.semantics.grant?.missing ?? null) : null
}
