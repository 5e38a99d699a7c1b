/** Those who want to hear of changes. They are called from a fresh microtask, once for any number of notices before it. */
export class Watchers {
  readonly #watchers = new Set<() => void>()
  #isCalling = false

  get size(): number {
    return this.#watchers.size
  }

  add(onChange: () => void): () => void {
    // A wrapper, so that one function given twice is two watchers.
    const watcher = (): void => onChange()
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  notify(): void {
    if (this.#isCalling) return
    this.#isCalling = true
    queueMicrotask(() => {
      this.#isCalling = false
      for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher()
    })
  }

  clear(): void {
    this.#watchers.clear()
  }
}
