/**
 * What this node serves: the last known entry of every source that is being read, and one immutable snapshot for each.
 * Views only move forward: an older version, or an older revision of the same version, never replaces a newer one.
 */
import { tokenOf } from '../model/decide.ts'
import type { Entry, Token } from '../model/entry.ts'
import { promiseCapMs, promisedAt } from '../model/expiry.ts'
import { graceMsOf, type Source } from '../model/source.ts'
import type { Snapshot } from './keeper.ts'
import type { StoreTime } from './store-time.ts'

export type View = {
  readonly source: Source
  readonly entry: Entry
  readonly revision: number
  /** Null when the source has no token that may be served. */
  readonly snapshot: Snapshot | null
  /** End of the promise on the store's clock. */
  readonly until: number
  /** The most that is promised at any moment, in milliseconds. */
  readonly capMs: number
}

/** A view has another entry than before; null before where this node held none. */
type OnMoved = (view: View, before: Entry | null) => void

export class Views {
  readonly #time: StoreTime
  readonly #onMoved: OnMoved
  readonly #views = new Map<string, View>()
  readonly #promises = new WeakMap<Snapshot, { readonly until: number; readonly capMs: number }>()
  /** Names by token value, current and lately replaced. */
  readonly #owners = new Map<string, string>()
  readonly #waiting = new Map<string, Set<() => void>>()
  /** Names read since the last `forgetIdle`, and those of the round before. */
  #readNow = new Set<string>()
  #readBefore = new Set<string>()

  #forgotten = 0

  /** Names whose view holds a token that is not committed yet. */
  readonly #pinned = new Set<string>()

  constructor(time: StoreTime, onMoved: OnMoved = () => undefined) {
    this.#time = time
    this.#onMoved = onMoved
  }

  /** Keeps a view through `forgetIdle`. */
  pin(name: string): void {
    this.#pinned.add(name)
  }

  isPinned(name: string): boolean {
    return this.#pinned.has(name)
  }

  unpin(name: string): void {
    this.#pinned.delete(name)
  }

  get size(): number {
    return this.#views.size
  }

  get(name: string): View | undefined {
    return this.#views.get(name)
  }

  has(name: string): boolean {
    return this.#views.has(name)
  }

  names(): IterableIterator<string> {
    return this.#views.keys()
  }

  /** The view for a reader: marks it as being read, and makes a promise anew that ran out before its token did. */
  read(name: string): View | undefined {
    const view = this.#views.get(name)
    if (view === undefined) return undefined
    this.#readNow.add(name)
    const now = this.#time.now()
    const hasLapsed = view.snapshot !== null && view.until <= now && (view.entry.token?.expiresAt ?? 0) > now
    return hasLapsed ? this.#set(view.source, view.entry, view.revision, view) : view
  }

  /** Milliseconds for which a snapshot is promised; 0 or less for one that is over, or was not made here. */
  leftMs(snapshot: Snapshot): number {
    const promise = this.#promises.get(snapshot)
    return promise === undefined ? 0 : Math.min(promise.until - this.#time.now(), promise.capMs)
  }

  ownerOf(token: string): View | undefined {
    const name = this.#owners.get(token)
    const view = name === undefined ? undefined : this.#views.get(name)
    if (view === undefined || view.entry.token?.value === token) return view
    // It may have ended since the view was made.
    const now = this.#time.now()
    return view.entry.previous.some(({ value, until }) => value === token && until > now) ? view : undefined
  }

  /** Milliseconds for which a token of that view may be relied on, the current one or one that was replaced. */
  leftMsOf(token: string, { source, snapshot, entry }: View): number {
    if (snapshot?.token === token) return this.leftMs(snapshot)
    const at = entry.previous.findIndex(({ value }) => value === token)
    const old = entry.previous[at]
    if (old === undefined || entry.token === null) return 0
    if (source.semantics.reissue !== 'retires-previous') return old.until - this.#time.now()
    // The one before the current one has its grace from when that came; those before it are over.
    const graceEndsAt = entry.token.issuedAt + graceMsOf(source, entry.token.lifetimeMs)
    return at === 0 ? Math.min(old.until, graceEndsAt) - this.#time.now() : 0
  }

  /**
   * Takes note of an entry read from or written to the store (or issued and not yet committed). Answers the view that
   * is served now.
   */
  learn(source: Source, entry: Entry, revision: number): View {
    const known = this.#views.get(source.name)
    const isSameDefinition = known?.source === source
    if (known !== undefined) {
      const isSame = entry.version === known.entry.version
      // One version has one value: what is to be committed here is told from what another node committed by a lift.
      const isOther = this.#pinned.has(source.name) && entry.token?.value !== known.entry.token?.value
      const isOlder = entry.version < known.entry.version || (isSame && (revision < known.revision || isOther))
      if (isOlder) return isSameDefinition ? known : this.#set(source, known.entry, known.revision, known)
    }
    return this.#set(source, entry, revision, known)
  }

  /** The record of a view was written anew, with revisions that begin again. */
  rebase(name: string, revision: number): void {
    const known = this.#views.get(name)
    if (known !== undefined) this.#views.set(name, { ...known, revision })
  }

  /** The source of a view was defined anew. */
  redefine(source: Source): void {
    const known = this.#views.get(source.name)
    if (known !== undefined) this.#set(source, known.entry, known.revision, known)
  }

  /** How many names were forgotten: a look that began before one of them may know less than this node. */
  get forgotten(): number {
    return this.#forgotten
  }

  forget(name: string): void {
    this.#forgotten += 1
    const known = this.#views.get(name)
    if (known === undefined) return
    this.#disown(known)
    this.#views.delete(name)
    this.#wake(name)
  }

  /** Drops what nobody has read for one to two rounds. */
  forgetIdle(): void {
    for (const name of this.#views.keys()) {
      const isRead = this.#readNow.has(name) || this.#readBefore.has(name)
      if (!isRead && !this.#waiting.has(name) && !this.#pinned.has(name)) this.forget(name)
    }
    this.#readBefore = this.#readNow
    this.#readNow = new Set()
  }

  /** Calls back at the next change of what is served under `name`; the answer cancels. */
  onChange(name: string, wake: () => void): () => void {
    const waiting = this.#waiting.get(name) ?? new Set()
    waiting.add(wake)
    this.#waiting.set(name, waiting)
    return () => {
      waiting.delete(wake)
      if (waiting.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name)
    }
  }

  #set(source: Source, entry: Entry, revision: number, known: View | undefined): View {
    const token = tokenOf(source, entry)
    const until = token === null ? 0 : promisedAt(source, entry, token, this.#time.now())
    const capMs = promiseCapMs(source, entry)
    const snapshot = token === null ? null : this.#snapshotOf(source.name, token, { until, capMs }, known)
    const view: View = { source, entry, revision, snapshot, until, capMs }
    if (known !== undefined) this.#disown(known)
    this.#views.set(source.name, view)
    this.#own(view)
    if (known?.snapshot !== snapshot) this.#wake(source.name)
    if (known?.entry !== entry) this.#onMoved(view, known?.entry ?? null)
    return view
  }

  /** One object per version and promise, so that whoever caches by identity caches the right thing. */
  #snapshotOf(
    name: string,
    token: Token,
    promise: { readonly until: number; readonly capMs: number },
    known: View | undefined,
  ): Snapshot {
    const before = known?.snapshot ?? null
    const isSame = before?.token === token.value && before.version === token.version
    if (isSame && known?.until === promise.until && known.capMs === promise.capMs) return before
    const snapshot: Snapshot = {
      name,
      token: token.value,
      version: token.version,
      issuedAt: this.#time.toWall(token.issuedAt),
      expiresAt: this.#time.toWall(promise.until),
      fields: token.fields,
    }
    this.#promises.set(snapshot, promise)
    return snapshot
  }

  #own(view: View): void {
    const now = this.#time.now()
    for (const old of view.entry.previous) if (old.until > now) this.#owners.set(old.value, view.source.name)
    if (view.entry.token !== null) this.#owners.set(view.entry.token.value, view.source.name)
  }

  #disown(view: View): void {
    const values = [view.entry.token?.value, ...view.entry.previous.map((old) => old.value)]
    for (const value of values) {
      if (value !== undefined && this.#owners.get(value) === view.source.name) this.#owners.delete(value)
    }
  }

  #wake(name: string): void {
    const waiting = this.#waiting.get(name)
    if (waiting === undefined) return
    this.#waiting.delete(name)
    for (const wake of waiting) wake()
  }
}
