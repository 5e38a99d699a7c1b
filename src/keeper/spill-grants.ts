/**
 * What happens to a grant that the store cannot take: it is put beside the store before anybody uses the token that came
 * with it, and put back as soon as the store takes writes, by this process or by the next.
 */
import { backoffMs } from '../base/backoff.ts'
import { wakeAt } from '../model/decide.ts'
import type { IssuedGrant } from '../model/failure.ts'
import { saved } from '../model/take-grant.ts'
import type { Spilled } from '../stores/store.ts'
import type { Job } from './attempt.ts'
import { lookUp, tell, type Room } from './room.ts'

const racesMax = 20
const putBackOff = { baseMs: 500, capMs: 15_000 }

/** Saves the grant of an answer that could not be committed. Without a place for it, it is in memory only, and that is told. */
export async function spillGrant(room: Room, job: Job, grant: IssuedGrant, sentAt: number): Promise<void> {
  const { name, identity } = job.source
  try {
    if (room.spill === null) throw new Error('there is no place beside the store')
    await room.spill.save(name, { ...grant, sentAt, asked: job.grant, identity })
  } catch {
    tell(room, 'grant-at-risk', name, {})
  }
}

/** The store has it now. */
export async function dropSpilled(room: Room, name: string): Promise<void> {
  // What is left there by a disk that fails changes nothing when it is put back.
  await room.spill?.drop(name).catch(() => undefined)
}

/**
 * Puts back what processes left, before this one asks with a grant that may be used up. Resolves after one try; what the
 * store does not take yet is tried again behind it. `onPutBack` hears of each source.
 */
export async function putBackSpilled(room: Room, onPutBack: (name: string) => void): Promise<void> {
  const left = (await room.spill?.left().catch(() => [])) ?? []
  for (const { name, spilled } of left) {
    const isDone = await tryToPutBack(room, name, spilled)
    if (isDone) onPutBack(name)
    else room.background(putBackLater(room, name, { spilled, onPutBack }))
  }
}

async function putBackLater(
  room: Room,
  name: string,
  { spilled, onPutBack }: { readonly spilled: Spilled; readonly onPutBack: (name: string) => void },
): Promise<void> {
  for (let failures = 1; !room.stopping.aborted; failures += 1) {
    await room.env.clock.sleep(backoffMs(failures, putBackOff, room.env.random.next()), room.stopping)
    if (!(await tryToPutBack(room, name, spilled))) continue
    onPutBack(name)
    return
  }
}

/** False when the store failed. What no source of now is the owner of stays where it is: its definition may come back. */
async function tryToPutBack(room: Room, name: string, spilled: Spilled): Promise<boolean> {
  try {
    for (let race = 0; race < racesMax; race += 1) {
      const found = await lookUp(room, name)
      if (found?.source.identity !== spilled.identity) return true
      const { value, lifetimeMs, sentAt, asked } = spilled
      const sent = { sentAt, now: room.time.now(), grant: asked }
      const entry = saved(found.source, found.entry, { value, lifetimeMs }, sent)
      const written =
        entry === found.entry
          ? found.revision
          : await room.store.write(name, { entry, dueAt: wakeAt(entry) }, found.revision)
      if (written === null) continue
      if (room.views.has(name)) room.views.learn(found.source, entry, written)
      await dropSpilled(room, name)
      return true
    }
  } catch {
    // No store at the moment.
  }
  return false
}
