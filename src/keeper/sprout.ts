/**
 * Sources that come into being when they are first read, such as the ticket of one of a million accounts. Only who asks for
 * a token gets here, after it was judged whether they may read that name: nobody else makes a row by asking.
 */
import { putSource } from './change-sources.ts'
import { lookUp, type Found, type Room } from './room.ts'

/** The source of a name, made now if the one above it has such an offspring; null when nothing defines the name. */
export async function lookUpOrSprout(room: Room, name: string): Promise<Found | null> {
  const found = await lookUp(room, name)
  if (found !== null) return found
  const slash = name.lastIndexOf('/')
  const [above, part] = [name.slice(0, Math.max(slash, 0)), name.slice(slash + 1)]
  const { offspring = {} } = (await lookUp(room, above))?.source ?? {}
  if (!Object.hasOwn(offspring, part)) return null
  // Several nodes may come to this at once: the same definition twice changes nothing.
  await putSource(room, name, { ...offspring[part], of: above })
  return await lookUp(room, name)
}
