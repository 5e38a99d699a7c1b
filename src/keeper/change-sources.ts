/** Sources that are added, changed and removed while running, and how every source is doing. */
import type { JsonObject } from '../base/json.ts'
import { ZhongkongError } from '../base/errors.ts'
import { spentInDay } from '../model/budget.ts'
import { stateOf, tokenOf, wakeAt } from '../model/decide.ts'
import { newEntry, type Entry } from '../model/entry.ts'
import { promisedAt } from '../model/expiry.ts'
import { isContested } from '../model/settle.ts'
import { rivals, sourceName, type Source } from '../model/source.ts'
import type { KeepFresh } from './keep-fresh.ts'
import type { SourceState } from './keeper.ts'
import { lookUp, tell, type Room } from './room.ts'

const racesMax = 20
/** A token that is made from a token that is made from a token …: no deeper than this. */
const depthMax = 8

export async function putSource(
  room: Room,
  name: string,
  definition: JsonObject,
): Promise<{ readonly created: boolean }> {
  if (!sourceName.test(name)) throw new ZhongkongError('bad_request', 'that is no name for a source')
  if (room.book.fileSources.has(name)) {
    throw new ZhongkongError('conflict', 'this source stands in the configuration file; change it there')
  }
  const parsed = room.book.parse(name, definition)
  if (!parsed.ok) {
    const problems = parsed.issues.map((issue) => `${issue.path.join('.') || 'definition'}: ${issue.message.en}`)
    throw new ZhongkongError('bad_request', problems.join('; '))
  }
  await checkNeeds(room, parsed.source)
  const [rival] = rivals([...room.book.fileSources.values(), parsed.source]).filter(
    ({ source }) => source.name === name,
  )
  if (rival !== undefined) {
    throw new ZhongkongError('conflict', `${rival.first.name} is the same account; each would retire the other's token`)
  }
  for (let race = 0; race < racesMax; race += 1) {
    const { entry, revision } = await room.store.read(name)
    const now = room.time.now()
    const changed: Entry = entry === null ? newEntry(now, definition) : { ...entry, definition, nextTry: 0 }
    const written = await room.store.write(name, { entry: changed, dueAt: wakeAt(changed) }, revision)
    if (written === null) continue
    room.views.learn(parsed.source, changed, written)
    tell(room, entry === null ? 'added' : 'changed', name, {})
    return { created: entry === null }
  }
  throw new ZhongkongError('overloaded', 'the source kept changing while it was being written')
}

/** Every needed source exists, and none of them needs this one. */
async function checkNeeds(room: Room, source: Source): Promise<void> {
  let level: readonly string[] = source.needs
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > depthMax)
      throw new ZhongkongError('bad_request', `sources depend on each other too deeply (${depthMax})`)
    const deeper = new Set<string>()
    for (const need of level) {
      if (need === source.name) throw new ZhongkongError('bad_request', 'the source would depend on itself')
      const found = await lookUp(room, need)
      if (found === null) throw new ZhongkongError('bad_request', `the needed source ${need} does not exist`)
      for (const next of found.source.needs) deeper.add(next)
    }
    level = [...deeper]
  }
}

export async function removeSource(room: Room, name: string): Promise<boolean> {
  if (room.book.fileSources.has(name)) {
    throw new ZhongkongError('conflict', 'this source stands in the configuration file; remove it there')
  }
  const [dependent] = [...room.book.fileSources.values()].filter(({ needs }) => needs.includes(name))
  if (dependent !== undefined) throw new ZhongkongError('conflict', `${dependent.name} is asked with its token`)
  for (let race = 0; race < racesMax; race += 1) {
    const { entry, revision } = await room.store.read(name)
    if (entry?.definition == null) return false
    const written = await room.store.write(name, { entry: null, dueAt: 0 }, revision)
    if (written === null) continue
    room.views.forget(name)
    tell(room, 'removed', name, {})
    return true
  }
  throw new ZhongkongError('overloaded', 'the source kept changing while it was being removed')
}

/** Swaps the sources of the configuration file, whole, and takes up what is new or different. */
export async function replaceSources(room: Room, fresh: KeepFresh, sources: readonly Source[]): Promise<void> {
  const before = room.book.fileSources
  room.book.replace(sources)
  const names = new Set(sources.map(({ name }) => name))
  for (const name of before.keys()) {
    if (names.has(name)) continue
    room.views.forget(name)
    tell(room, 'removed', name, {})
  }
  const touched = sources.filter((source) => before.get(source.name)?.generation !== source.generation)
  for (const source of touched) tell(room, before.has(source.name) ? 'changed' : 'added', source.name, {})
  // Views hold their source: from now on tokens are judged under the new one. A token of the same account is served on,
  // also when the store does not answer at the moment.
  for (const source of touched) room.views.redefine(source)
  await fresh.adopt(touched.map(({ name }) => name))
  for (const { name } of touched) fresh.poke(name)
}

export async function sourceState(room: Room, name: string): Promise<SourceState | undefined> {
  const found = await lookUp(room, name)
  return found === null ? undefined : describe(room, found.source, found.entry)
}

export async function sourceStates(
  room: Room,
  query: { readonly after?: string; readonly limit: number },
): Promise<{ states: readonly SourceState[]; next: string | null }> {
  const page = await room.store.scan(query)
  const states = page.records.flatMap(({ name, entry }) => {
    const source = room.book.resolve(name, entry)
    return source === null ? [] : [describe(room, source, entry)]
  })
  return { states, next: page.next }
}

function describe(room: Room, source: Source, entry: Entry): SourceState {
  const now = room.time.now()
  const { word, decision } = stateOf(source, entry, now)
  const token = tokenOf(source, entry)
  const leftMs = token === null ? null : promisedAt(source, entry, token, now) - now
  const isAlive = token !== null && leftMs !== null && leftMs > 0
  const limits = [source.semantics.limits.perDay, source.policy.dailyLimit].filter((limit) => limit !== undefined)
  return {
    source,
    state: word,
    reason: decision.reason,
    snapshot: isAlive
      ? {
          name: source.name,
          token: token.value,
          version: token.version,
          issuedAt: room.time.toWall(token.issuedAt),
          expiresAt: room.time.toWall(now + leftMs),
          fields: token.fields,
        }
      : null,
    leftMs: isAlive ? leftMs : null,
    nextRefreshMs: decision.act === 'refresh' ? 0 : Math.max(0, decision.until - now),
    attemptsToday: spentInDay(entry.budget, now),
    dailyLimit: limits.length === 0 ? null : Math.min(...limits),
    trouble: entry.trouble?.generation === source.generation ? entry.trouble : null,
    conflict: isContested(entry, now),
  }
}
