/** Puts the grants that lie beside the store back into it. */
import { backoffMs } from '../base/backoff.ts'
import { asZhongkongError, isOfStore } from '../base/errors.ts'
import { wakeAt } from '../model/decide.ts'
import type { Entry } from '../model/entry.ts'
import type { Source } from '../model/source.ts'
import { saved } from '../model/take-grant.ts'
import type { Spilled } from '../stores/store.ts'
import { putSource } from './change-sources.ts'
import { lookUp, type Room } from './room.ts'
import { dropSpilled } from './spill-grants.ts'

const racesMax = 20
const putBackOff = { baseMs: 500, capMs: 15_000 }

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

/**
 * False when the store failed. What no source of now is the owner of, and whose own definition is refused, stays where it
 * is: what it leans on may come back, and the next start looks again.
 */
async function tryToPutBack(room: Room, name: string, spilled: Spilled): Promise<boolean> {
  try {
    for (let race = 0; race < racesMax; race += 1) {
      const found = await lookUp(room, name)
      const take = (source: Source, entry: Entry): Entry => {
        const { value, lifetimeMs, sentAt, asked, since } = spilled
        return saved(source, entry, { value, lifetimeMs, since }, { sentAt, now: room.time.now(), grant: asked })
      }
      if (found === null && spilled.definition !== undefined) {
        await putSource(room, name, spilled.definition, take)
        await dropSpilled(room, name)
        return true
      }
      if (found?.source.identity !== spilled.identity) return true
      const entry = take(found.source, found.entry)
      const written =
        entry === found.entry
          ? found.revision
          : await room.store.write(name, { entry, dueAt: wakeAt(entry) }, found.revision)
      if (written === null) continue
      if (room.views.has(name)) room.views.learn(found.source, entry, written)
      await dropSpilled(room, name)
      return true
    }
  } catch (thrown) {
    if (isOfStore(thrown)) return false
    // Nothing else will tell of it.
    room.background(rejected(thrown))
    return true
  }
  return false
}

async function rejected(thrown: unknown): Promise<never> {
  return await Promise.reject(asZhongkongError(thrown))
}
