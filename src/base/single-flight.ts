/** One flight per key: callers that come while it is in the air share it. */

export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  /**
   * Joins the flight of `key`, or starts one. `start` must settle in bounded time (every attempt has a deadline),
   * because a flight that never lands would keep its key for ever.
   */
  join(key: string, start: () => Promise<T>): Promise<T> {
    const flying = this.#flights.get(key)
    if (flying !== undefined) return flying
    const flight = start().finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    this.#flights.set(key, flight)
    return flight
  }

  /** The flight of `key` if one is in the air. */
  current(key: string): Promise<T> | undefined {
    return this.#flights.get(key)
  }

  get size(): number {
    return this.#flights.size
  }

  /** Resolves when every flight of now has landed, well or badly. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#flights.values())
  }
}
