/**
 * One look at one source: read the entry, decide, and if a refresh is due carry it out.
 *
 *   read ─► decide ─► lease (CAS) ─► clock check ─► issue ─► settle (CAS)
 *
 * The lease is written against the very revision that was judged, so nobody can have changed the entry in between.
 * There is one attempt per lease, and none starts that could outlive it.
 */
import { deadline, until } from '../base/env.ts'
import { decide, isUnresolved, tokenOf, wakeAt } from '../model/decide.ts'
import { leaseSafetyMs, type Entry } from '../model/entry.ts'
import type { Attempt, Failure } from '../model/failure.ts'
import { grantOf } from '../model/grant.ts'
import { giveBack, leased, leaseMsOf } from '../model/settle.ts'
import type { Source } from '../model/source.ts'
import { withoutWish } from '../model/wish.ts'
import type { Held, Input } from '../providers/provider.ts'
import type { Job, NeedInput, Tended } from './attempt.ts'
import { lookUp, tell, type Found, type Room } from './room.ts'
import { settle, write } from './settle-attempt.ts'

/** Lost races for one lease before the look is given up; the winner is at work by then. */
const racesMax = 5
/** What was read longer ago than this is read again before a lease is taken for it, in milliseconds. */
const lookMsMax = 2_000

export async function tend(room: Room, name: string, needInput: NeedInput): Promise<Tended> {
  for (let race = 0; race < racesMax; race += 1) {
    const found = await lookUp(room, name)
    if (found === null) {
      room.views.forget(name)
      return { kind: 'gone' }
    }
    const { source, entry, revision } = found
    // A token that this node was issued is still on its way into the store: asking for another would retire it.
    if (room.views.isPinned(name)) return { kind: 'wait', until: room.time.now() + 1_000, because: 'lease' }
    if (room.views.has(name)) room.views.learn(source, entry, revision)
    // After an outage the clocks of the nodes may have drifted apart by more than leases allow for.
    if (!room.time.isExact()) await room.time.look()
    const decision = decide(source, entry, room.time.now())
    if (decision.act === 'rest') return { kind: 'rest', until: decision.until }
    if (decision.act === 'wait' && decision.because === 'authorization') await park(room, found, decision.until)
    if (decision.act === 'wait') return { kind: 'wait', until: decision.until, because: decision.because }
    if (room.stopping.aborted) return { kind: 'wait', until: room.time.now() + 1_000, because: 'stopping' }
    const lookedAt = room.env.clock.monotonic()
    const inputs = new Map<string, Input>()
    for (const need of source.needs) {
      const answer = await needInput(name, need)
      if (!('input' in answer)) {
        await endWish(room, name)
        return { kind: 'blocked', by: need, ...answer }
      }
      inputs.set(need, answer.input)
    }
    // What was looked at some time ago (a need was waited for, the process was held up) may not be so any more.
    if (room.env.clock.monotonic() - lookedAt > lookMsMax) continue
    const grant = source.semantics.grant === undefined ? null : grantOf(source, entry, room.time.now())
    const tended = await attempt(room, { source, entry, revision, decision, inputs, grant: grant?.value ?? null })
    if (tended !== null) return tended
  }
  return { kind: 'wait', until: room.time.now() + 500, because: 'lease' }
}

/**
 * A wish that cannot be granted now is not left to be granted by surprise, when what stood in its way is gone and nobody
 * waits for it any more. One for which somebody is asking at this moment ends with that attempt.
 */
async function endWish(room: Room, name: string): Promise<void> {
  for (let race = 0; race < racesMax; race += 1) {
    const found = await lookUp(room, name)
    if (found?.entry.lease !== null) return
    const free = withoutWish(found.entry)
    if (free === found.entry) return
    const written = await room.store.write(name, { entry: free, dueAt: wakeAt(free) }, found.revision)
    if (written === null) continue
    if (room.views.has(name)) room.views.learn(found.source, free, written)
    return
  }
}

/** Nothing can be done before somebody grants anew, which ends the wait; until then the due index has other things to list. */
async function park(room: Room, { source, entry, revision }: Found, until: number): Promise<void> {
  if (wakeAt(entry) > room.time.now()) return
  const parked = { ...withoutWish(entry), nextTry: until }
  const written = await room.store.write(source.name, { entry: parked, dueAt: wakeAt(parked) }, revision)
  if (written !== null && room.views.has(source.name)) room.views.learn(source, parked, written)
}

/** Takes the lease, asks, and settles. Null when somebody else was faster. */
async function attempt(room: Room, job: Job): Promise<Tended | null> {
  const { source, decision } = job
  const { clock } = room.env
  const leaseMs = leaseMsOf(source)
  const startedAt = clock.monotonic()
  const granted = leased(source, job.entry, { node: room.node, now: room.time.now(), forced: decision.force })
  const revision = await room.store.write(source.name, { entry: granted, dueAt: wakeAt(granted) }, job.revision)
  room.time.touch()
  if (revision === null) return null
  const held = { ...job, entry: granted, revision }
  // The write may have taken long. An attempt that could outlive its lease must not start, so the clock is read in the
  // same tick in which the request leaves.
  if (clock.monotonic() - startedAt + source.policy.timeoutMs + leaseSafetyMs > leaseMs || room.stopping.aborted) {
    await write(room, held, { change: giveBack, isDone: () => false })
    return { kind: 'wait', until: room.time.now() + 1_000, because: room.stopping.aborted ? 'stopping' : 'lease' }
  }
  const sentAt = room.time.now()
  const sentMonotonic = clock.monotonic()
  const outcome = await ask(room, job)
  tell(room, 'attempted', source.name, {
    outcome: outcome.outcome,
    forced: decision.force,
    tookMs: Math.round(clock.monotonic() - sentMonotonic),
  })
  return await settle(room, held, outcome, sentAt)
}

/** Asks the upstream within the attempt's time. Whatever goes wrong on our side counts as an unknown outcome. */
async function ask(room: Room, job: Job): Promise<Attempt> {
  const { source, inputs, decision } = job
  const time = deadline(room.env.clock, source.policy.timeoutMs)
  const held = heldOf(source, job.entry, room.time.now())
  try {
    const answer = room.issue(source, {
      env: room.env,
      signal: time.signal,
      force: decision.force,
      inputs,
      ...(source.semantics.grant === undefined ? {} : { grant: job.grant }),
      ...(held === null ? {} : { held }),
      ...(source.policy.proxy === undefined ? {} : { proxy: source.policy.proxy }),
    })
    return await until(answer, time.signal)
  } catch {
    const seconds = Math.round(source.policy.timeoutMs / 1_000)
    const failure: Failure = time.signal.aborted
      ? {
          code: 'upstream_timeout',
          message: `no answer within ${seconds} s`,
          hint: {
            en: 'Check the network between this machine and the upstream; raise `timeout` if it is only slow.',
            zh: '请检查本机到上游的网络；如果只是较慢，可调大 timeout。',
          },
        }
      : { code: 'internal', message: 'the provider failed unexpectedly' }
    return { outcome: 'unknown', failure }
  } finally {
    time.done()
  }
}

/** The living token of an entry as its provider is told of it; null when there is none. */
export function heldOf(source: Source, entry: Entry, now: number): Held | null {
  const token = tokenOf(source, entry)
  if (token === null || token.expiresAt <= now) return null
  const isReported = entry.doubt?.reason === 'reported' && entry.doubt.version === token.version
  return { token: token.value, fields: token.fields, isReported }
}

/** Whether an entry's token may be used to ask for another one: alive, and nobody doubts it. */
export function isSound(source: Source, entry: Entry, now: number): boolean {
  const token = tokenOf(source, entry)
  return token !== null && token.expiresAt > now && entry.doubt === null && !isUnresolved(entry)
}
