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
  readonly place: Place
  /** When the token of the source with this number is due, in milliseconds from now; absent: when its schedule says. */
  readonly dueInMs?: (index: number) => number
}

/**
 * Where the definitions stand: in a configuration file, in the store as after `PUT /v1/sources/{name}`, or in the store
 * under a third-party platform of WeChat in the file (`platformOf`), as accounts do that authorised it.
 */
export type Place = 'configuration' | 'store' | 'platform'

/** `s0000000`, `s0000001`, …; `platform/wx0000000` for accounts of a platform. */
export function nameOf(index: number, place: Place): string {
  const number = String(index).padStart(7, '0')
  return place === 'platform' ? `platform/wx${number}` : `s${number}`
}

export function definitionOf(index: number, upstream: string, place: Place): JsonObject {
  if (place === 'platform') {
    return { provider: 'wechat-authorizer', of: 'platform', appid: nameOf(index, place).slice('platform/'.length) }
  }
  return { provider: 'http', url: `${upstream}/token`, query: { appid: `wx${index}` } }
}

export function platformOf(upstream: string): JsonObject {
  const callback = { token: 'token', encoding_aes_key: 'a'.repeat(43) }
  return { provider: 'wechat-component', appid: 'wxplatform', secret: 'secret', base_url: upstream, callback }
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
  const write = async (name: string, entry: Entry): Promise<void> => {
    const revision = await store.write(name, { entry, dueAt: wakeAt(entry) }, 0)
    if (revision === null) throw new Error('the store was not empty')
  }
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < filling.count; index = next++) {
      await write(nameOf(index, filling.place), entryOf(index, now, filling))
    }
  }
  if (filling.place === 'platform') {
    const definition = platformOf(filling.upstream)
    await write('platform', newToken(sourceOf('platform', definition, 'file'), null, { sentAt: now, index: 0 }))
  }
  await Promise.all(Array.from({ length: writesAtOnce }, worker))
}

function entryOf(index: number, now: number, { upstream, place, dueInMs }: Filling): Entry {
  const definition = definitionOf(index, upstream, place)
  const isKept = place !== 'configuration'
  const source = sourceOf(nameOf(index, place), definition, isKept ? 'store' : 'file', {
    platform: platformOf(upstream),
  })
  // Issued over the last quarter of an hour, so that the schedule is spread as it is in life.
  const sentAt = now - 900_000 * ((index % 1_000) / 1_000)
  const entry = newToken(source, isKept ? definition : null, { sentAt, index })
  return dueInMs === undefined ? entry : { ...entry, dueAt: now + dueInMs(index) }
}

/** An entry whose first token was issued at `sentAt`, with a grant where its source has one. */
function newToken(
  source: Source,
  definition: JsonObject | null,
  { sentAt, index }: { readonly sentAt: number; readonly index: number },
): Entry {
  const asking = leased(source, newEntry(sentAt, definition), { node: 'bench', now: sentAt, forced: false })
  const value = `86_${String(index).padStart(127, 'x')}`
  const grant = { value: `refreshtoken@@@${String(index).padStart(43, 'x')}`, lifetimeMs: null }
  const issued = {
    value,
    lifetimeMs,
    fields: { access_token: value, expires_in: lifetimeMs / 1_000 },
    ...(source.semantics.grant === undefined ? {} : { grant }),
  }
  const chance = (index % 997) / 997
  return commit(source, asking, issued, { sentAt, now: sentAt, forced: false, chance, askedWith: {}, grant: null })
    .entry
}

function sourceOf(
  name: string,
  definition: JsonObject,
  origin: Source['origin'],
  others: Readonly<Record<string, JsonObject>> = {},
): Source {
  const parsed = parseSource(name, definition, origin, (other) => others[other])
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.source
}
