/**
 * Codes that are being exchanged, or were lately. A code is good once, and may come twice: with the person, and by a push,
 * which the platform sends again when it could not be kept. So it is exchanged once, and what it brought is kept once, if
 * need be at the second try.
 */
import { sha256 } from './base/secret.ts'

/** So many codes are remembered. */
const codesMax = 1_000

type Step<T> = {
  /** Exchanges the code. */
  readonly exchange: () => Promise<T>
  /** Keeps what it brought; answers the name of the source. */
  readonly keep: (brought: T) => Promise<string>
}

class Exchange<T> {
  readonly #brought: Promise<T>
  #kept: Promise<string> | null = null

  constructor(brought: Promise<T>) {
    this.#brought = brought
  }

  async keep(step: Step<T>['keep']): Promise<string> {
    this.#kept ??= this.#brought.then(step)
    try {
      return await this.#kept
    } catch (thrown) {
      this.#kept = null
      throw thrown
    }
  }
}

export class Exchanges<T> {
  readonly #exchanges = new Map<string, Exchange<T>>()

  /** The name of the source that a code authorised; throws as the steps do. */
  async take(source: string, code: string, { exchange, keep }: Step<T>): Promise<string> {
    const key = sha256(`${source} ${code}`).toString('hex')
    const known = this.#exchanges.get(key)
    if (known !== undefined) return await known.keep(keep)
    const brought = exchange()
    // One that brought nothing may have failed on the way, and be good still.
    brought.catch(() => this.#exchanges.delete(key))
    const made = new Exchange(brought)
    this.#exchanges.set(key, made)
    for (const oldest of this.#exchanges.keys()) if (this.#exchanges.size > codesMax) this.#exchanges.delete(oldest)
    return await made.keep(keep)
  }
}
