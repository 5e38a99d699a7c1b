/** Everything that a store holds, as the lines of a backup. Works while nodes run. */
import { ZhongkongError } from '../../base/errors.ts'
import type { Entry } from '../../model/entry.ts'
import type { EntryStore } from '../../stores/store.ts'
import type { BackupWriter } from './backup-format.ts'

const pageSize = 500

/** Entries that could not be opened, by name; they are not in the backup. */
export type Broken = string[]

/**
 * The lines, one after the other. Entries are independent of each other, and each is written as it was at one instant of
 * the backup. One that changes while the store is read through may be missed there, so what has changed since the beginning
 * is read once more: it stands twice in the file then, and the newer one counts.
 */
export async function* takeBackup(store: EntryStore, writer: BackupWriter, broken: Broken): AsyncGenerator<string> {
  let { cursor } = await store.changes(null, 1)
  yield writer.header
  for (let after: string | undefined; ;) {
    const page = await store.scan({ limit: pageSize, ...(after === undefined ? {} : { after }) })
    for (const record of page.records) yield writer.entry(record)
    broken.push(...page.broken)
    if (page.next === null) break
    after = page.next
  }
  for (let more = true; more;) {
    const changes = await store.changes(cursor, pageSize)
    // Forgetting takes a store a week: no backup lasts so long.
    if (changes.reset) throw new ZhongkongError('store_unavailable', 'the store has forgotten what changed meanwhile')
    for (const { name } of changes.changed) {
      const entry = await readEntry(store, name)
      if (entry === 'broken') broken.push(name)
      else if (entry !== null) yield writer.entry({ name, entry })
    }
    more = changes.more
    cursor = changes.cursor
  }
  yield writer.end()
}

async function readEntry(store: EntryStore, name: string): Promise<Entry | null | 'broken'> {
  try {
    return (await store.read(name)).entry
  } catch (thrown) {
    if (thrown instanceof ZhongkongError && thrown.code === 'seal_broken') return 'broken'
    throw thrown
  }
}
