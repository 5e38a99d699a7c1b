/**
 * What holds of an entry in whatever order things happen to it. A run is a list of small steps, as nodes take them: look
 * and perhaps take the lease, land an attempt in any of its ends (perhaps long after its lease), report, ask, let time
 * pass. After each step the invariants are checked.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { frozen, hour, minute, reissues, sampleSource, second, t0, type Changed } from '../../test/model/samples.ts'
import { decide, isUnresolved, leasedUntil, tokenOf, wakeAt } from './decide.ts'
import { newEntry, type Entry } from './entry.ts'
import { promisedAt } from './expiry.ts'
import type { Attempt } from './failure.ts'
import { commit, doubted, fail, giveBack, leased, mayRetire, stray } from './settle.ts'
import { graceMsOf, type Source } from './source.ts'

type Flight = { readonly epoch: number; readonly sentAt: number; readonly forced: boolean }

type Step =
  | { readonly does: 'pass'; readonly ms: number }
  | { readonly does: 'look'; readonly mayGiveBack: boolean }
  | { readonly does: 'land'; readonly index: number; readonly outcome: Attempt['outcome']; readonly isSame: boolean }
  | { readonly does: 'vanish' | 'report' | 'ask' }

const failure = { code: 'x', message: 'x' }

class Run {
  entry: Entry = frozen(newEntry(t0))
  now = t0
  readonly source: Source
  readonly #flights: Flight[] = []
  #values = 0
  /** Ends of lives that must not be believed past, since an attempt without an answer. */
  #cutTo = Infinity
  /** An attempt without an answer is open until something is committed. */
  #isOpen = false
  #committedAt = t0
  readonly #valueOf = new Map<number, string>()
  readonly #endOf = new Map<number, number>()

  constructor(changed: Changed) {
    this.source = frozen(sampleSource(changed))
  }

  take(step: Step, chance: number): void {
    if (step.does === 'pass') this.now += step.ms
    else if (step.does === 'look') this.#look(step.mayGiveBack)
    else if (step.does === 'land') this.#land(step, chance)
    else if (step.does === 'vanish') this.#flights.shift()
    else this.#become(doubted(this.entry, step.does === 'report' ? 'reported' : 'asked', this.now))
  }

  #look(mayGiveBack: boolean): void {
    const decision = decide(this.source, this.entry, this.now)
    expect(decide(this.source, structuredClone(this.entry), this.now)).toEqual(decision)
    if (decision.act !== 'refresh') {
      expect(decision.until).toBeGreaterThan(this.now)
      return
    }
    expect(leasedUntil(this.source, this.entry, this.now)).toBeNull()
    if (decision.purpose !== 'asked') expect(wakeAt(this.entry)).toBeLessThanOrEqual(this.now)
    const wasOpen = isUnresolved(this.entry)
    const held = leased(this.source, this.entry, { node: 'n', now: this.now, forced: decision.force })
    expect(held.epoch).toBe(this.entry.epoch + 1)
    this.#become(held)
    if (mayGiveBack) {
      this.#become(giveBack(this.entry))
      expect(isUnresolved(this.entry)).toBe(wasOpen)
      return
    }
    this.#flights.push({ epoch: this.entry.epoch, sentAt: this.now, forced: decision.force })
  }

  #land(step: Extract<Step, { does: 'land' }>, chance: number): void {
    const flight = this.#flights.splice(step.index % Math.max(1, this.#flights.length), 1)[0]
    if (flight === undefined) return
    const holds = this.entry.epoch === flight.epoch && this.entry.lease !== null
    const { source, now } = this
    const sent = { sentAt: flight.sentAt, now, forced: flight.forced, chance, askedWith: {}, grant: null }
    const isHarmful = mayRetire(source, flight.forced)
    if (!holds) {
      if (isHarmful && (step.outcome === 'issued' || step.outcome === 'unknown'))
        this.#become(stray(source, this.entry, now))
      return
    }
    if (step.outcome === 'issued') {
      this.#commit(step.isSame, sent)
      return
    }
    const attempt =
      step.outcome === 'rejected'
        ? { outcome: step.outcome, class: 'transient' as const, failure }
        : { outcome: step.outcome, failure }
    const wasOpen = this.#isOpen
    this.#become(fail(source, this.entry, attempt, sent))
    expect(this.entry.doubt?.reason).not.toBe('asked')
    expect(this.entry.nextTry).toBeGreaterThan(now)
    if (step.outcome === 'unknown' && isHarmful) {
      this.#isOpen = true
      this.#cutTo = Math.min(this.#cutTo, flight.sentAt + graceMsOf(source, this.entry.token?.lifetimeMs ?? 0))
    } else if (wasOpen) {
      expect(isUnresolved(this.entry)).toBe(true)
    }
  }

  #commit(isSame: boolean, sent: Parameters<typeof commit>[3]): void {
    const before = this.entry
    const current = tokenOf(this.source, before)
    const value = isSame && current !== null ? current.value : `token-${(this.#values += 1)}`
    const { entry, result } = commit(this.source, before, { value, lifetimeMs: 2 * hour, fields: {} }, sent)
    expect(result).toBe(value === current?.value ? 'repeated' : 'rotated')
    expect(entry.version).toBe(result === 'rotated' ? before.version + 1 : before.version)
    if (before.doubt?.reason === 'stray' && before.doubt.at > sent.sentAt) expect(entry.doubt).toEqual(before.doubt)
    this.#isOpen = false
    this.#cutTo = Infinity
    this.#committedAt = this.now
    this.#become(entry)
    expect(isUnresolved(entry)).toBe(false)
  }

  /** The next entry, judged against the one before it and against all that is known of the run. */
  #become(next: Entry): void {
    const before = this.entry
    this.entry = frozen(next)
    expect(next.version).toBeGreaterThanOrEqual(before.version)
    expect(next.epoch).toBeGreaterThanOrEqual(before.epoch)
    expect(next.resolvedEpoch).toBeGreaterThanOrEqual(before.resolvedEpoch)
    expect(next.resolvedEpoch).toBeLessThanOrEqual(next.epoch)
    if (next.lease !== null) expect(isUnresolved(next)).toBe(true)
    if (this.#isOpen && next.lease === null) expect(isUnresolved(next)).toBe(true)
    expect(next.budget.hours.length).toBeLessThanOrEqual(26)
    expect(next.previous.length).toBeLessThanOrEqual(3)
    this.#judgeToken(next)
    this.#judgeSchedule(next)
  }

  #judgeToken(next: Entry): void {
    const { token } = next
    if (token === null) return
    expect(token.version).toBe(next.version)
    expect(this.#valueOf.get(token.version) ?? token.value).toBe(token.value)
    this.#valueOf.set(token.version, token.value)
    if (this.source.semantics.reissue !== 'extends') {
      expect(token.expiresAt).toBeLessThanOrEqual(this.#endOf.get(token.version) ?? Infinity)
    }
    this.#endOf.set(token.version, token.expiresAt)
    expect(token.expiresAt).toBeLessThanOrEqual(this.#cutTo)
    expect(promisedAt(this.source, next, token, this.now)).toBeLessThanOrEqual(token.expiresAt)
  }

  /** Nothing that has ended, or is doubted, is left lying. */
  #judgeSchedule(next: Entry): void {
    if (next.lease !== null || next.token === null) return
    const isDoubtful = next.doubt !== null || isUnresolved(next)
    if (isDoubtful) expect(wakeAt(next)).toBeLessThanOrEqual(Math.max(this.now, next.nextTry))
    else expect(next.dueAt).toBeLessThanOrEqual(Math.max(next.token.expiresAt, this.#committedAt) + 16 * second)
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('look' as const),
      mayGiveBack: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('land' as const),
      index: fc.nat({ max: 3 }),
      outcome: fc.constantFrom<Attempt['outcome']>('issued', 'issued', 'rejected', 'not-sent', 'unknown'),
      isSame: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('pass' as const),
      ms: fc.oneof(
        fc.integer({ min: 0, max: 3 * second }),
        fc.integer({ min: 0, max: minute }),
        fc.integer({ min: 0, max: 90 * minute }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom('vanish' as const, 'report' as const, 'ask' as const) }) },
)

const source: fc.Arbitrary<Changed> = fc.record({
  reissue: fc.constantFrom(...reissues),
  semantics: fc.record({
    limits: fc.record(
      { force: fc.constant({ perDay: 20, gapMs: 30 * second }), perDay: fc.integer({ min: 5, max: 500 }) },
      { requiredKeys: [] },
    ),
  }),
})

test('whatever happens to an entry, and in whatever order, it stays true to its word', () => {
  fc.assert(
    fc.property(
      source,
      fc.array(fc.tuple(step, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), {
        maxLength: 60,
        size: 'max',
      }),
      (changed, steps) => {
        const run = new Run(changed)
        for (const [each, chance] of steps) run.take(each, chance)
      },
    ),
    { numRuns: 1_000 },
  )
})
