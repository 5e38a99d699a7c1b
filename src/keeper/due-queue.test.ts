/** The due queue against a plain map, under any order of operations. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DueQueue } from './due-queue.ts'

/** The same thing, slowly. */
class PlainQueue {
  readonly #at = new Map<string, number>()

  get size(): number {
    return this.#at.size
  }

  add(name: string, at: number): void {
    this.#at.set(name, Math.min(at, this.#at.get(name) ?? Infinity))
  }

  nextAt(): number | null {
    return this.#at.size === 0 ? null : Math.min(...this.#at.values())
  }

  /** All names that may be taken first: those of the earliest instant. */
  heads(now: number): string[] {
    const first = this.nextAt()
    if (first === null || first > now) return []
    return [...this.#at].filter(([, at]) => at === first).map(([name]) => name)
  }

  remove(name: string): void {
    this.#at.delete(name)
  }
}

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
const at = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(Infinity, -1, 0.5))
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ does: fc.constant('add' as const), name, at }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('take' as const), name, at }) },
)

describe('DueQueue', () => {
  test('answers as a plain map does, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
        const queue = new DueQueue()
        const plain = new PlainQueue()
        for (const { does, name, at } of operations) {
          if (does === 'add') {
            queue.add(name, at)
            plain.add(name, at)
          } else {
            const heads = plain.heads(at)
            const taken = queue.take(at)
            if (heads.length === 0) expect(taken).toBeNull()
            else expect(heads).toContain(taken)
            if (taken !== null) plain.remove(taken)
          }
          expect(queue.nextAt()).toBe(plain.nextAt())
          expect(queue.size).toBe(plain.size)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('gives names in the order of their instants', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { maxLength: 300 }), (instants) => {
        const queue = new DueQueue()
        for (const instant of instants) queue.add(String(instant), instant)
        const taken = instants.map(() => Number(queue.take(Infinity)))
        expect(taken).toEqual(instants.toSorted((left, right) => left - right))
      }),
    )
  })

  test('is not worn out by a name that is made due earlier again and again', () => {
    const queue = new DueQueue()
    for (let instant = 100_000; instant > 0; instant -= 1) queue.add('a', instant)
    expect(queue.take(1)).toBe('a')
    expect(queue.take(Infinity)).toBeNull()
    expect(queue.size).toBe(0)
  })
})
