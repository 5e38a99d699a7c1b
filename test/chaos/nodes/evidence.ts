/** What all rules of the checker look at, and how they say what they found. */
import type { Excuse } from './excuses.ts'
import type { FirstServed } from './first-served.ts'
import type { History, ReadLine } from './history.ts'
import type { Presence, Span } from './presence.ts'
import type { Request } from './requests.ts'
import type { TokenFates } from './token-fates.ts'

export type Violation = {
  readonly rule: string
  readonly at: number
  readonly source: string | null
  readonly text: string
}

/** What every rule looks at. */
export type Evidence = {
  readonly history: History
  readonly presence: Presence
  readonly fates: TokenFates
  readonly served: FirstServed
  readonly requests: ReadonlyMap<string, readonly Request[]>
  readonly reads: readonly ReadLine[]
  readonly fail: (violation: Violation) => void
  readonly excuse: (excuse: Excuse) => void
}

/** The upstream's clock and the watcher's differ by less, in milliseconds. */
export const clockMs = 50

/** A server hands connections to a worker that was killed until it hears of that, in milliseconds; they are lost. */
const unheardMs = 500

/** An answer other than 200 and 304. True when nothing more need be said of it. */
export function isStrange(evidence: Evidence, read: ReadLine): boolean {
  const { presence, fail, excuse } = evidence
  const { node, source, from, at } = read
  const span = { from: from - clockMs, to: at + clockMs }
  if (presence.isStruck(node, span)) {
    excuse('struck: the process was killed or frozen meanwhile')
    return true
  }
  const heldMs = unheardMs + presence.lateMs(span)
  if (read.status === 0 && presence.isWorkerStruck(node, { from: span.from - heldMs, to: span.to })) {
    excuse('struck: a worker was killed or frozen meanwhile, and did not answer')
    return true
  }
  if (read.status === 0 && read.failure?.includes('ECONNREFUSED') === true && presence.isDeserted(node, at)) {
    excuse('struck: the last worker was killed, and the next one did not listen yet')
    return true
  }
  const refuse = (text: string): boolean => {
    fail({ rule: 'answer', at, source, text: `node ${node}, ${source}: ${text}` })
    return true
  }
  if (read.saysNotWhen === true) return refuse('refused without saying when to come again')
  return read.status === 503 ? false : refuse(`answered ${read.status} ${read.failure ?? ''}`)
}

export function ms(value: number): string {
  return `${Math.round(value)} ms`
}

/** Whether a node or a worker was struck, or the store away, in a span. */
export function isDisturbed({ history, presence }: Evidence, span: Span): boolean {
  const nodes = Array.from({ length: history.nodes }, (_, node) => node)
  return nodes.some(
    (node) => presence.isOutOfTouch(node, span) || presence.isStruck(node, span) || presence.isWorkerStruck(node, span),
  )
}
