/**
 * What happens to a grant that the store cannot take: it is put beside the store before anybody uses the token that came
 * with it, and put back as soon as the store takes writes, by this process or by the next.
 */
import type { Spilled } from '../stores/store.ts'
import { tell, type Room } from './room.ts'

/** Puts a grant beside the store. Without a place for it, it is in memory only, and that is told. */
export async function spillGrant(room: Room, name: string, spilled: Spilled): Promise<void> {
  try {
    if (room.spill === null) throw new Error('there is no place beside the store')
    await room.spill.save(name, spilled)
  } catch {
    tell(room, 'grant-at-risk', name, {})
  }
}

/** The store has it now. */
export async function dropSpilled(room: Room, name: string): Promise<void> {
  // What is left there by a disk that fails changes nothing when it is put back.
  await room.spill?.drop(name).catch(() => undefined)
}
