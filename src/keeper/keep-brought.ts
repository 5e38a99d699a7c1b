/** How what a person's authorisation brought is kept, which nobody is given twice. */
import { backoffMs } from '../base/backoff.ts'
import { deadline, until } from '../base/env.ts'
import { isOfStore } from '../base/errors.ts'
import type { JsonObject } from '../base/json.ts'
import type { Brought } from './keeper.ts'
import type { Room } from './room.ts'
import { dropSpilled, spillGrant } from './spill-grants.ts'

/** Whom it is for, and the definition of a source that is made by it. */
type For = { readonly name: string; readonly definition: JsonObject | undefined }

const keepBackoff = { baseMs: 200, capMs: 5_000 }
/** Whoever brought something waits so long for it to be kept, in milliseconds; a person is watching. */
const keepMsMax = 10_000

/**
 * Writes what was brought, by `take`. While the store fails the grant is put beside the store, and the write is tried
 * again: for a while before the caller is told, and behind the error after that, until it is kept or the node stops.
 */
export async function keepBrought(
  room: Room,
  whom: For,
  brought: Brought,
  take: (brought: Brought) => Promise<void>,
): Promise<void> {
  const { clock, random } = room.env
  const began = clock.monotonic()
  const takeNow = (): Promise<void> => take({ ...brought, sentAgoMs: brought.sentAgoMs + clock.monotonic() - began })
  const takeLater = async (): Promise<void> => {
    await spillBrought(room, whom, brought)
    for (let failures = 1; ; failures += 1) {
      await clock.sleep(backoffMs(failures, keepBackoff, random.next()), room.stopping)
      try {
        await takeNow()
        await dropSpilled(room, whom.name)
        return
      } catch (thrown) {
        if (!isOfStore(thrown) || room.stopping.aborted) throw thrown
      }
    }
  }
  try {
    await takeNow()
  } catch (thrown) {
    if (!isOfStore(thrown)) throw thrown
    const later = takeLater()
    // Whoever waits is told how it ended; behind the answer nobody is.
    room.background(later.catch(() => undefined))
    const time = deadline(clock, keepMsMax, room.stopping)
    try {
      await until(later, time.signal)
    } catch (last) {
      throw time.signal.aborted ? thrown : last
    } finally {
      time.done()
    }
  }
}

/** A source that this node cannot name the account of has nothing beside the store. */
async function spillBrought(room: Room, { name, definition }: For, { issued, sentAgoMs }: Brought): Promise<void> {
  const parsed = definition === undefined ? null : room.book.parse(name, definition)
  const source = parsed?.ok === true ? parsed.source : room.book.find(name)
  if (issued.grant === undefined || source === undefined) return
  const { identity } = source
  const sentAt = room.time.now() - sentAgoMs
  const made = definition === undefined ? {} : { definition }
  await spillGrant(room, name, { ...issued.grant, sentAt, asked: null, since: sentAt, identity, ...made })
}
