/**
 * Writes the end of an attempt into the store, whatever happened to the entry meanwhile.
 *
 * The write is judged by the lease's epoch, not by the revision alone: somebody may have reported the token while the
 * request was in the air, and that must neither be lost nor make us lose the answer. When the epoch has moved on, the
 * lease was lost, and the answer is a stray: the upstream may have retired the token that everybody holds.
 */
import { backoffMs } from '../base/backoff.ts'
import type { Turn } from '../model/conflict.ts'
import { wakeAt } from '../model/decide.ts'
import type { Entry } from '../model/entry.ts'
import type { Attempt, Issued } from '../model/failure.ts'
import { mayUseUp } from '../model/grant.ts'
import { commit, fail, mayRetire, stray, type Committed } from '../model/settle.ts'
import { graceMsOf, type Source } from '../model/source.ts'
import { saved } from '../model/take-grant.ts'
import type { EntryRecord, Spilled } from '../stores/store.ts'
import type { Job, Refused, Tended } from './attempt.ts'
import { tell, type Room } from './room.ts'
import { dropSpilled, spillGrant } from './spill-grants.ts'

/** Somebody changing an entry at the very moment we do, this often in a row, is not believable. */
const racesMax = 50
const commitBackoff = { baseMs: 100, capMs: 5_000 }

/** A change to be written, and how to know that it already was. */
type Settlement = { change(entry: Entry): Entry; isDone(entry: Entry): boolean }

type Written =
  | { readonly kind: 'written'; readonly entry: Entry; readonly revision: number }
  /** The lease was lost to a later one. */
  | { readonly kind: 'lost' }
  /** The source was removed meanwhile. */
  | { readonly kind: 'removed' }

export async function settle(room: Room, job: Job, attempt: Attempt, sentAt: number): Promise<Tended> {
  const { source, decision } = job
  const chance = room.env.random.next()
  if (attempt.outcome === 'issued') return await settleIssued(room, job, attempt.issued, { sentAt, chance })
  const change = (entry: Entry): Entry =>
    fail(source, entry, attempt, { sentAt, now: room.time.now(), forced: decision.force, chance, grant: job.grant })
  const isDone = (entry: Entry): boolean => isEndOf(job, entry)
  const isLeftOpen = mayHaveRetired(job, attempt) || (attempt.outcome === 'unknown' && mayUseUp(source))
  let written: Written
  try {
    written = await write(room, job, { change, isDone })
  } catch (thrown) {
    // The store cannot be told, but this node must not go on believing in what the attempt may have retired.
    if (room.views.has(source.name)) room.views.learn(source, change(job.entry), job.revision)
    if (isLeftOpen) room.background(leaveLater(room, job, attempt, { change, isDone }))
    throw thrown
  }
  if (written.kind !== 'written') {
    // Nobody knows what became of the request, and the lease is somebody else's by now.
    if (written.kind === 'lost' && mayHaveRetired(job, attempt)) await markStray(room, source, room.time.now())
    return { kind: 'wait', until: room.time.now() + 500, because: 'lease' }
  }
  show(room, job, written)
  tellFailure(room, job, written.entry)
  const refused = refusedOf(job, attempt)
  return {
    kind: 'failed',
    until: lookAgainAt(room, job, written.entry),
    failure: attempt.failure,
    ...(refused === null ? {} : { refused }),
  }
}

function mayHaveRetired({ source, decision }: Job, attempt: Attempt): boolean {
  return attempt.outcome === 'unknown' && mayRetire(source, decision.force)
}

/** Whether our lease ended in this entry. Behind a failover of the store another one may have its epoch. */
function isEndOf({ entry: { epoch, lease } }: Job, entry: Entry): boolean {
  return entry.epoch === epoch && entry.lease === null && lease !== null && entry.budget.recent.includes(lease.at)
}

/**
 * Writes the end of an attempt that may have retired the token, when the store is back. Whoever took the lease meanwhile
 * knows that there was an attempt, and not that it went on until now.
 */
async function leaveLater(room: Room, job: Job, attempt: Attempt, settlement: Settlement): Promise<void> {
  const endedAt = room.time.now()
  for (let failures = 1; !room.stopping.aborted; failures += 1) {
    await room.env.clock.sleep(backoffMs(failures, commitBackoff, room.env.random.next()), room.stopping)
    try {
      const written = await write(room, job, settlement)
      if (written.kind === 'lost' && mayHaveRetired(job, attempt)) await markStray(room, job.source, endedAt)
      return
    } catch {
      // Still no store.
    }
  }
}

function refusedOf(job: Job, attempt: Attempt): Refused | null {
  if (attempt.outcome !== 'rejected' || attempt.refusedInput === undefined) return null
  const input = job.inputs.get(attempt.refusedInput)
  return input === undefined ? null : { name: attempt.refusedInput, token: input.token }
}

function tellFailure(room: Room, job: Job, entry: Entry): void {
  const { trouble, token } = entry
  if (trouble === null) return
  const name = job.source.name
  const before = job.entry.trouble
  // That a person must do something is told whatever was told before.
  const isForPeople = trouble.class === 'needs-authorization' && before?.class !== trouble.class
  if (trouble.count === 1 || isForPeople)
    tell(room, 'failing', name, { class: trouble.class, failure: trouble.failure })
  const hasEnded = token !== null && token.expiresAt <= trouble.at
  if (hasEnded && (before === null || before.at < token.expiresAt)) {
    tell(room, 'expired', name, { version: token.version })
  }
}

async function settleIssued(
  room: Room,
  job: Job,
  issued: Issued,
  sent: { readonly sentAt: number; readonly chance: number },
): Promise<Tended> {
  const commitment = new Commitment(room, job, issued, sent)
  let written: Written
  try {
    written = await write(room, job, commitment)
  } catch {
    // The store cannot be written, but upstream the old token may be dying already: serve the new one from here, and
    // keep trying to commit it.
    if (commitment.spilled !== null) await spillGrant(room, job.source.name, commitment.spilled)
    const entry = commitment.change(job.entry)
    room.views.learn(job.source, entry, job.revision)
    room.views.pin(job.source.name)
    tell(room, 'uncommitted', job.source.name, { version: entry.version })
    room.background(commitLater(room, job, commitment))
    return { kind: commitment.last?.result ?? 'rotated', until: wakeAt(entry) }
  }
  return await afterCommit(room, job, written, commitment)
}

/** An issued token on its way into the entry, whatever that has become meanwhile. */
class Commitment {
  readonly #commit: (entry: Entry) => Committed
  readonly #save: (entry: Entry) => Entry
  readonly #value: string
  readonly #epoch: number
  /** What must not be lost while the store cannot take it; null when there is no such thing. */
  readonly spilled: Spilled | null
  /** What the last change amounted to. */
  last: Committed | null = null

  constructor(room: Room, job: Job, issued: Issued, sent: { readonly sentAt: number; readonly chance: number }) {
    const askedWith = Object.fromEntries([...job.inputs].map(([name, input]) => [name, input.version]))
    this.#commit = (entry) =>
      commit(job.source, entry, issued, {
        ...sent,
        now: room.time.now(),
        forced: job.decision.force,
        askedWith,
        grant: job.grant,
      })
    const { grant } = issued
    const { identity } = job.source
    this.spilled = grant === undefined ? null : { ...grant, sentAt: sent.sentAt, asked: job.grant, identity }
    this.#save = (entry) =>
      grant === undefined ? entry : saved(job.source, entry, grant, { ...sent, now: room.time.now(), grant: job.grant })
    this.#value = issued.value
    this.#epoch = job.entry.epoch
  }

  change(entry: Entry): Entry {
    this.last = this.#commit(entry)
    return this.last.entry
  }

  /** The change of an entry that is somebody else's by now: what cannot be asked for again is kept all the same. */
  save(entry: Entry): Entry {
    return this.#save(entry)
  }

  isDone(entry: Entry): boolean {
    return entry.token?.value === this.#value && entry.resolvedEpoch >= this.#epoch
  }
}

async function commitLater(room: Room, job: Job, commitment: Commitment): Promise<void> {
  for (let failures = 1; ; failures += 1) {
    await room.env.clock.sleep(backoffMs(failures, commitBackoff, room.env.random.next()), room.stopping)
    try {
      const written = await write(room, job, commitment)
      room.views.unpin(job.source.name)
      if (written.kind !== 'lost') await dropSpilled(room, job.source.name)
      await afterCommit(room, job, written, commitment)
      return
    } catch {
      // Still no store. A node that stops gives it one last try and leaves the rest to the in-doubt rule.
      if (room.stopping.aborted) return
    }
  }
}

async function afterCommit(room: Room, job: Job, written: Written, commitment: Commitment): Promise<Tended> {
  const { source } = job
  const { last } = commitment
  const now = room.time.now()
  if (written.kind === 'removed') {
    // While the store was away, the answer was served from here.
    room.views.forget(source.name)
    return { kind: 'gone' }
  }
  if (written.kind === 'lost') {
    if (mayRetire(source, job.decision.force)) await markStray(room, source, now)
    if (mayUseUp(source)) await saveAnyway(room, job, commitment)
    return { kind: 'wait', until: now, because: 'lease' }
  }
  const { entry } = written
  show(room, job, written)
  const expiresAt = room.time.toWall(entry.token?.expiresAt ?? now)
  const result = last?.result ?? 'rotated'
  if (result === 'rotated') {
    tell(room, 'rotated', source.name, { version: entry.version, expiresAt, reason: job.decision.reason })
  } else {
    tell(room, 'repeated', source.name, { version: entry.version, expiresAt })
  }
  if (job.entry.trouble !== null) tell(room, 'recovered', source.name, { failures: job.entry.trouble.count })
  tellTurn(room, source.name, last?.turn ?? null)
  return { kind: result, until: lookAgainAt(room, job, entry) }
}

/** Told by the node whose commit it is, and so by one of all. */
function tellTurn(room: Room, name: string, turn: Turn | null): void {
  if (turn === null) return
  const { count: deaths, sign, since } = turn.conflict
  if (turn.kind === 'began') tell(room, 'conflict', name, { deaths, sign, since: room.time.toWall(since) })
  else tell(room, 'conflict-over', name, { deaths, lastedMs: Math.round(turn.endedAt - since) })
}

/** Shows readers what was written, under the definition of now: it may have changed while the request was in the air. */
function show(room: Room, job: Job, { entry, revision }: Extract<Written, { kind: 'written' }>): void {
  const { name } = job.source
  if (!room.views.has(name)) return
  const source = room.book.resolve(name, entry)
  if (source === null) room.views.forget(name)
  else room.views.learn(source, entry, revision)
}

/** When the source is looked at again: at once, if what was written is no answer to its definition of now. */
function lookAgainAt(room: Room, job: Job, entry: Entry): number {
  const isSame = room.book.resolve(job.source.name, entry)?.generation === job.source.generation
  return isSame ? wakeAt(entry) : room.time.now()
}

/** Writes a change of the entry that granted our lease, over whatever else was changed meanwhile. */
export async function write(room: Room, job: Job, settlement: Settlement): Promise<Written> {
  const { name } = job.source
  let record: EntryRecord = isJustRead(room, job)
    ? { entry: job.entry, revision: job.revision }
    : await room.store.read(name)
  for (let race = 0; race < racesMax; race += 1) {
    // A row that was deleted by hand (a removal by us leaves a revision behind) is written anew.
    if (record.entry === null && record.revision === 0) record = { entry: job.entry, revision: 0 }
    if (record.entry === null) return { kind: 'removed' }
    // A write that seemed to fail may have been done after all; then nothing is left to write.
    if (settlement.isDone(record.entry)) return { kind: 'written', entry: record.entry, revision: record.revision }
    if (record.entry.epoch !== job.entry.epoch) return { kind: 'lost' }
    if (record.entry.lease?.node !== room.node) return { kind: 'lost' }
    const entry = settlement.change(record.entry)
    const revision = await room.store.write(name, { entry, dueAt: wakeAt(entry) }, record.revision)
    room.time.touch()
    if (revision !== null) return { kind: 'written', entry, revision }
    record = await room.store.read(name)
  }
  throw new Error(`the entry of ${name} kept changing`)
}

/** No failover of a store, and somebody's write after it, is as quick as this, in milliseconds. */
const failoverMsMin = 500

/**
 * Whether the record of our lease is the last word but for what its revision tells. A store that was failed over since
 * may have lost the lease and given its revision to another write.
 */
function isJustRead(room: Room, { entry: { lease } }: Job): boolean {
  return lease !== null && room.time.now() - lease.at < failoverMsMin
}

/**
 * Keeps what came with an answer whose lease was lost. Whoever has the lease now asks with what is used up, perhaps, so
 * until the store has taken it, it stands beside the store: this process may end here.
 */
async function saveAnyway(room: Room, { source: { name }, source }: Job, commitment: Commitment): Promise<void> {
  if (commitment.spilled === null) return
  if (room.spill !== null) await spillGrant(room, name, commitment.spilled)
  const change = (entry: Entry): Entry => commitment.save(entry)
  await changeAnyway(room, source, change, () => dropSpilled(room, name))
}

/** Marks the entry as doubtful. */
async function markStray(room: Room, source: Source, arrivedAt: number): Promise<void> {
  tell(room, 'strayed', source.name, {})
  await changeAnyway(room, source, (entry) => {
    // No request is carried out so long after it ended here that it could retire this token.
    const graceMs = graceMsOf(source, entry.token?.lifetimeMs ?? 0)
    if (entry.token !== null && entry.token.issuedAt > arrivedAt + graceMs) return entry
    return stray(source, entry, arrivedAt)
  })
}

/** Changes an entry, whoever holds it: the epoch is not asked. Goes on until the store has taken it, and then calls `done`. */
async function changeAnyway(
  room: Room,
  source: Source,
  change: (entry: Entry) => Entry,
  done: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  try {
    for (let race = 0; race < racesMax; race += 1) {
      const { entry, revision } = await room.store.read(source.name)
      const changed = entry === null ? null : change(entry)
      if (changed === null || changed === entry) {
        await done()
        return
      }
      const written = await room.store.write(source.name, { entry: changed, dueAt: wakeAt(changed) }, revision)
      if (written === null) continue
      if (room.views.has(source.name)) room.views.learn(source, changed, written)
      await done()
      return
    }
  } catch {
    if (room.stopping.aborted) return
  }
  room.background(changeLater(room, source, change, done))
}

async function changeLater(
  room: Room,
  source: Source,
  change: (entry: Entry) => Entry,
  done: () => Promise<void>,
): Promise<void> {
  await room.env.clock.sleep(1_000, room.stopping)
  if (!room.stopping.aborted) await changeAnyway(room, source, change, done)
}
