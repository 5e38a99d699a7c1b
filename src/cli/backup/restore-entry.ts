/** One entry of a backup into a store that may hold a later one, while nodes run. */
import { ZhongkongError } from '../../base/errors.ts'
import { wakeAt } from '../../model/decide.ts'
import { lifted, type Entry } from '../../model/entry.ts'
import type { EntryRecord, EntryStore } from '../../stores/store.ts'
import type { Kept } from './backup-format.ts'

/**
 * `restored`: from the backup. `newer`: the store has a later one, which stays. `same`: nothing to do. `broken`: the record
 * in the store cannot be opened, so nobody can say which is newer; it stays.
 */
export type Restored = 'restored' | 'newer' | 'same' | 'broken'

/** A node that changes an entry at the very moment we do, this often in a row, is not believable. */
const racesMax = 50

export async function restoreEntry(store: EntryStore, kept: Kept, isForced: boolean): Promise<Restored> {
  for (let race = 0; race < racesMax; race += 1) {
    const found = await readRecord(store, kept.name)
    if (found === null) return 'broken'
    const { entry: there, revision } = found
    const { result, entry } = there === null ? fresh(kept.entry) : merged(there, kept.entry, isForced)
    if (entry === there) return result
    if ((await store.write(kept.name, { entry, dueAt: wakeAt(entry) }, revision)) !== null) return result
  }
  throw new ZhongkongError('overloaded', `the entry of ${kept.name} kept changing`)
}

async function readRecord(store: EntryStore, name: string): Promise<EntryRecord | null> {
  try {
    return await store.read(name)
  } catch (thrown) {
    if (thrown instanceof ZhongkongError && thrown.code === 'seal_broken') return null
    throw thrown
  }
}

type Merged = { readonly result: Restored; readonly entry: Entry }

/** The attempt that a lease covered is not ours to wait for; that it may have been carried out stays noted. */
function fresh(kept: Entry): Merged {
  return { result: 'restored', entry: { ...kept, lease: null } }
}

/**
 * Lease, epoch, budget and doubt are those of the store: an attempt may be in the air. Versions never go back, and the token
 * that was issued later counts; by force that of the backup does, under a version above both.
 */
function merged(there: Entry, kept: Entry, isForced: boolean): Merged {
  const isSame = there.token?.value === kept.token?.value && (there.definition === null) === (kept.definition === null)
  if (isSame && there.version === kept.version) return { result: 'same', entry: there }
  const definition = there.definition ?? kept.definition
  if (isForced) {
    const version = Math.max(there.version + 1, kept.version)
    const token = kept.token === null ? there.token : { ...kept.token, version }
    const { previous, dueAt } = kept
    const entry = { ...there, token, previous, dueAt, doubt: null, version, definition: kept.definition ?? definition }
    return { result: 'restored', entry }
  }
  const isDivergent = there.version === kept.version && there.token !== null && there.token.value !== kept.token?.value
  if (there.version > kept.version || isDivergent) return { result: 'newer', entry: there }
  const entry = { ...lifted(there, kept), definition }
  return { result: entry.token?.value === kept.token?.value ? 'restored' : 'newer', entry }
}
