/** The newest token of a source, for those who pass it on: of what the store has and what this node serves. */
import { tokenOf } from '../model/decide.ts'
import { promisedAt } from '../model/expiry.ts'
import type { Snapshot } from './keeper.ts'
import { lookUp, type Room } from './room.ts'

/**
 * Null while there is no living token. `expiresAt` is the promise as it was planned, also while a refresh is under way:
 * what is passed on must not end because of that. Leaves no view behind, as a million sources may be gone through. While
 * the store is away, what this node serves has to do; rejects when that is nothing.
 */
export async function newestToken(room: Room, name: string): Promise<Snapshot | null> {
  const found = await lookUp(room, name).catch((thrown: unknown) => {
    if (room.views.get(name)?.snapshot == null) throw thrown
    return undefined
  })
  if (found === null) return null
  const view = room.views.get(name)
  const isServedNewer = view !== undefined && (found === undefined || view.entry.version > found.entry.version)
  const { source, entry } = isServedNewer ? view : (found ?? {})
  if (source === undefined || entry === undefined) return null
  const token = tokenOf(source, entry)
  const now = room.time.now()
  if (token === null) return null
  const until = promisedAt(source, entry, token, now)
  if (until <= now) return null
  return {
    name,
    token: token.value,
    version: token.version,
    issuedAt: room.time.toWall(token.issuedAt),
    expiresAt: room.time.toWall(until),
    fields: token.fields,
  }
}
