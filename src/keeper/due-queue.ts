/**
 * Names by the instant at which they are due: a binary heap that holds the near future only. A name stands once; the
 * earlier of two instants wins, because looking too early costs a read and looking too late costs a token.
 */

type Item = { readonly at: number; readonly name: string }

export class DueQueue {
  #heap: Item[] = []
  readonly #at = new Map<string, number>()

  get size(): number {
    return this.#at.size
  }

  /** Makes `name` due at `at`, or earlier if it already was. */
  add(name: string, at: number): void {
    const known = this.#at.get(name)
    if (known !== undefined && known <= at) return
    this.#at.set(name, at)
    this.#push({ at, name })
  }

  /** The instant of the head, or null when nothing is due. */
  nextAt(): number | null {
    this.#dropStale()
    return this.#heap[0]?.at ?? null
  }

  /** Takes the earliest name that is due by `now`; null when none is. */
  take(now: number): string | null {
    this.#dropStale()
    const head = this.#heap[0]
    if (head === undefined || head.at > now) return null
    this.#pop()
    this.#at.delete(head.name)
    return head.name
  }

  /** Items whose name was made due earlier stay in the heap until they come up. */
  #dropStale(): void {
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      if (this.#at.get(head.name) === head.at) return
      this.#pop()
    }
  }

  #push(item: Item): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(item)
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex]
      if (parent === undefined || parent.at <= item.at) break
      heap[index] = parent
      index = parentIndex
    }
    heap[index] = item
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      const leftItem = heap[left]
      if (leftItem === undefined) break
      const rightItem = heap[left + 1]
      const takeRight = rightItem !== undefined && rightItem.at < leftItem.at
      const child = takeRight ? rightItem : leftItem
      if (child.at >= last.at) break
      heap[index] = child
      index = takeRight ? left + 1 : left
    }
    heap[index] = last
  }
}
