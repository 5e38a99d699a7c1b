/** Seeded chance (sfc32): the same seed gives the same draws on every machine. */
import type { Random } from '../../src/base/env.ts'

export class Chance implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, stream = 0) {
    this.#a = seed | 0
    this.#b = stream | 0
    this.#c = 0x9e3779b9
    for (let round = 0; round < 15; round += 1) this.next()
  }

  /** Uniform in [0, 1). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return (sum >>> 0) / 4_294_967_296
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.next() * 256))
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next()
  }

  /** True with the given probability. */
  is(probability: number): boolean {
    return this.next() < probability
  }

  /** Exponential waiting time with the given mean. */
  soon(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!
  }
}
