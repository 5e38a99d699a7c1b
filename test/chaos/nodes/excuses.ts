/**
 * Why an answer may be what would otherwise break a rule. Each excuse has its reason in the design, each use of one is
 * counted, and each has a ceiling: the share of all answers of a run that it may excuse at the most. A checker that
 * excuses more has stopped to look.
 */
export const excuseShares = {
  // No token.
  'struck: the process was killed or frozen meanwhile': 0.01,
  'struck: a worker was killed or frozen meanwhile, and did not answer': 0.01,
  'struck: the last worker was killed, and the next one did not listen yet': 0.01,
  'none: the process had not been told of any token yet': 0.02,
  'none: the token had ended, and no new one could be had': 0.3,
  'none: an attempt without an answer cut the token short': 0.1,
  'none: an attempt may have been lost with its node or with the store, before it was sent': 0.01,
  // A token that its upstream no longer takes.
  'dead: it was said to be stale': 0.1,
  'dead: replaced since the node lost touch, which it must notice after 45 s': 0.1,
  'dead: the process was frozen before it answered': 0.01,
  'dead: the news was on its way': 0.01,
  'dead: two issues in a row leave no grace': 0.02,
  'dead: the second of two answers was not written': 0.05,
  'dead: nobody could write yet': 0.05,
  // A promise that was not kept.
  'promise: the answer of one of two issues was lost': 0.2,
  'promise: somebody asked for a new token': 0.2,
  'promise: an answer was read late, as its process had been frozen': 0.05,
  'promise: it had been replaced, and the node was to hear of it': 0.02,
  'promise: it had been replaced, and the node was out of touch': 0.1,
  // News that came late, and an older version.
  'news: the node was out of touch': 0.1,
  'news: the one that served it first could not write it': 0.05,
  'versions: the one that served it first could not write it': 0.05,
  'wait: another worker was to hear of it': 0.01,
  'wait: the node was out of touch': 0.02,
  'wait: the node was frozen': 0.01,
  // A request that nobody called for.
  'needless: an attempt may have been lost with its node or with the store, before it was sent': 0.002,
  // A refresh that was not carried out.
  'refresh: the budget of forced issues was spent': 0.01,
  'refresh: somebody was out of touch, or an attempt had no answer': 0.005,
} as const

export type Excuse = keyof typeof excuseShares

/** Of a run with fewer answers, shares say nothing. */
const answersMin = 500

export class Excuses {
  readonly #counts = new Map<Excuse, number>()

  count(excuse: Excuse): void {
    this.#counts.set(excuse, (this.#counts.get(excuse) ?? 0) + 1)
  }

  get counts(): ReadonlyMap<Excuse, number> {
    return this.#counts
  }

  /** Those that were used too often among so many answers, in words. */
  tooMany(answers: number): readonly string[] {
    if (answers < answersMin) return []
    return [...this.#counts].flatMap(([excuse, used]) => {
      const allowed = Math.floor(answers * excuseShares[excuse])
      return used <= allowed ? [] : [`“${excuse}” excused ${used} of ${answers} answers, and at most ${allowed} may be`]
    })
  }
}
