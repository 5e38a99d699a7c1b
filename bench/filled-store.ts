/** A store with many sources in it, as a node that has run for a while leaves it behind. */
import { realEnv } from '../src/base/real-env.ts'
import type { JsonObject } from '../src/base/json.ts'
import { newEntry, type Entry } from '../src/model/entry.ts'
import { commit, leased } from '../src/model/settle.ts'
import type { Source } from '../src/model/source.ts'
import { wakeAt } from '../src/model/decide.ts'
import { parseSource } from '../src/providers/catalogue.ts'
import { openStore } from '../src/stores/open-store.ts'
import type { EntryStore } from '../src/stores/store.ts'

export type Filling = {
  readonly count: number
  /** Where the tokens come from. */
  readonly upstream: string
  /** The definitions stand in the store too, as after `PUT /v1/sources/{name}`; otherwise in a configuration file. */
  readonly isKept: boolean
  /** When the token of the source with this number is due, in milliseconds from now; absent: when its schedule says. */
  readonly dueInMs?: (index: number) => number
}

/** `s0000000`, `s0000001`, … */
export function nameOf(index: number): string {
  return `s${String(index).padStart(7, '0')}`
}

export function definitionOf(index: number, upstream: string): JsonObject {
  return { provider: 'http', url: `${upstream}/token`, query: { appid: `wx${index}` } }
}

/** Writes that wait for one another's commit; more would only take memory. */
const writesAtOnce = 2_000
const lifetimeMs = 7_200_000

/** Makes a store at `url` and fills it. */
export async function fillStoreAt(url: string, filling: Filling): Promise<void> {
  const env = realEnv()
  const store = await openStore({ url, encryptionKey: null, env })
  await fillStore(store, filling)
  await store.close()
  await env.close()
}

/** Fills a store with living tokens, through the program's own store and model. The entries are some minutes old. */
export async function fillStore(store: EntryStore, filling: Filling): Promise<void> {
  const now = await store.now()
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < filling.count; index = next++) {
      const entry = entryOf(index, now, filling)
      const revision = await store.write(nameOf(index), { entry, dueAt: wakeAt(entry) }, 0)
      if (revision === null) throw new Error('the store was not empty')
    }
  }
  await Promise.all(Array.from({ length: writesAtOnce }, worker))
}

function entryOf(index: number, now: number, { upstream, isKept, dueInMs }: Filling): Entry {
  const definition = definitionOf(index, upstream)
  const source = sourceOf(nameOf(index), definition, isKept ? 'store' : 'file')
  // Issued over the last quarter of an hour, so that the schedule is spread as it is in life.
  const sentAt = now - 900_000 * ((index % 1_000) / 1_000)
  const granted = leased(source, newEntry(sentAt, isKept ? definition : null), {
    node: 'bench',
    now: sentAt,
    forced: false,
  })
  const value = `86_${String(index).padStart(127, 'x')}`
  const issued = { value, lifetimeMs, fields: { access_token: value, expires_in: lifetimeMs / 1_000 } }
  const chance = (index % 997) / 997
  const { entry } = commit(source, granted, issued, {
    sentAt,
    now: sentAt,
    forced: false,
    chance,
    askedWith: {},
    grant: null,
  })
  return dueInMs === undefined ? entry : { ...entry, dueAt: now + dueInMs(index) }
}

function sourceOf(name: string, definition: JsonObject, origin: Source['origin']): Source {
  const parsed = parseSource(name, definition, origin)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.source
}
