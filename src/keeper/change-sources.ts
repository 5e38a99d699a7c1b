/** Sources that are added, changed and removed while running. */
import type { JsonObject } from '../base/json.ts'
import { ZhongkongError } from '../base/errors.ts'
import { wakeAt } from '../model/decide.ts'
import { newEntry, type Entry } from '../model/entry.ts'
import { grantOf, lacksGrant, type Given } from '../model/grant.ts'
import { chainLengthMax, findCycles, longestChains, type Needs } from '../model/graph.ts'
import { retiredChannel, sourceName, type Source } from '../model/source.ts'
import { authorized, granted, reauthorised, revoked } from '../model/take-grant.ts'
import type { Brought, Told } from './keeper.ts'
import type { KeepFresh } from './keep-fresh.ts'
import { lookUp, meetParents, tell, type Found, type Room } from './room.ts'

const racesMax = 20

export async function putSource(
  room: Room,
  name: string,
  definition: JsonObject,
  bring: Bring = (_, entry) => entry,
): Promise<{ readonly created: boolean }> {
  if (!sourceName.test(name)) throw new ZhongkongError('bad_request', 'that is no name for a source')
  if (room.book.fileSources.has(name)) {
    throw new ZhongkongError('conflict', 'this source stands in the configuration file; change it there')
  }
  await meetParents(room, definition)
  const parsed = room.book.parse(name, definition)
  if (!parsed.ok) {
    const problems = parsed.issues.map((issue) => `${issue.path.join('.') || 'definition'}: ${issue.message.en}`)
    throw new ZhongkongError('bad_request', problems.join('; '))
  }
  await judgeNeighbours(room, parsed.source)
  const { before, entry, revision } = await define(room, parsed.source, bring)
  const source = room.book.resolve(name, entry) ?? parsed.source
  try {
    // Of two that were put at the same moment, neither saw the other before; the later one sees both now.
    await judgeNeighbours(room, source)
  } catch (thrown) {
    await takeBack(room, name, { definition, before })
    throw thrown
  }
  // An entry without a definition was left by a source of the configuration file; its token lives on if it is the same account.
  const created = before?.definition == null
  if (room.views.has(name)) room.views.learn(source, entry, revision)
  tell(room, created ? 'added' : 'changed', name, {})
  return { created }
}

/** What an entry becomes by what was brought with its definition. */
type Bring = (source: Source, entry: Entry) => Entry

type Defined = { readonly before: Entry | null; readonly entry: Entry; readonly revision: number }

/** Writes a definition, and what was brought with it, in one write: neither is of use without the other. */
async function define(room: Room, source: Source, bring: Bring): Promise<Defined> {
  const { name, definition } = source
  for (let race = 0; race < racesMax; race += 1) {
    const { entry: before, revision } = await room.store.read(name)
    const now = room.time.now()
    const defined = before === null ? newEntry(now, definition) : redefined(before, definition)
    const entry = bring(source, defined)
    const written = await room.store.write(name, { entry, dueAt: wakeAt(entry) }, revision)
    if (written !== null) return { before, entry, revision: written }
  }
  throw new ZhongkongError('overloaded', 'the source kept changing while it was being written')
}

/** A change may have mended what failed, so nothing is waited for any more; the same definition again has mended nothing. */
function redefined(entry: Entry, definition: JsonObject): Entry {
  const isSame = JSON.stringify(entry.definition) === JSON.stringify(definition)
  return isSame ? entry : { ...entry, definition, nextTry: 0 }
}

/**
 * Takes in what a person's authorisation of an account brought: to its source, or to one that is made by it. One that
 * was defined with more than the authorisation says stays as it is.
 */
export async function authorizeChild(
  room: Room,
  name: string,
  definition: JsonObject,
  brought: Brought,
): Promise<void> {
  const known = await lookUp(room, name)
  if (known !== null && saysAll(known.source.definition, definition)) {
    await authorizeSource(room, name, brought)
    return
  }
  await putSource(room, name, definition, (source, entry) => authorizedNow(room, source, entry, brought))
  tell(room, 'authorized', name, {})
}

/**
 * Sees to it that there is a source with this grant, as the platform tells it: `made`, `mended` by the grant, or `kept`
 * because it has that in use. Throws as `putSource`.
 */
export async function mendSource(
  room: Room,
  name: string,
  definition: JsonObject,
  told: Told | null,
): Promise<'made' | 'mended' | 'kept'> {
  const given = told === null ? null : { value: told.value, at: room.time.now() - told.toldAgoMs, lifetimeMs: null }
  const take: Bring = (source, entry) =>
    given === null ? reauthorised(source, entry, room.time.now()) : granted(source, entry, given, room.time.now())
  const known = await lookUp(room, name)
  if (known === null || !saysAll(known.source.definition, definition)) {
    await putSource(room, name, definition, take)
    return 'made'
  }
  const isKept = ({ source, entry }: Found): boolean => {
    const now = room.time.now()
    return !lacksGrant(source, entry, now) && (given === null || grantOf(source, entry, now)?.value === given.value)
  }
  if (isKept(known)) return 'kept'
  const isMended = await changeSource(room, name, (found) =>
    isKept(found) ? found.entry : take(found.source, found.entry),
  )
  return isMended ? 'mended' : 'kept'
}

/** Whether a definition holds everything that another one says, and perhaps more. */
function saysAll(definition: JsonObject, other: JsonObject): boolean {
  return Object.entries(other).every(([key, value]) => JSON.stringify(definition[key]) === JSON.stringify(value))
}

function authorizedNow(room: Room, source: Source, entry: Entry, { issued, sentAgoMs }: Brought): Entry {
  const chance = room.env.random.next()
  const now = room.time.now()
  const sent = { sentAt: now - sentAgoMs, now, forced: false, chance, askedWith: {}, grant: null }
  return authorized(source, entry, issued, sent)
}

/** Takes in the token and the grant that a person's authorisation brought to a source that there is. */
export async function authorizeSource(room: Room, name: string, brought: Brought): Promise<void> {
  const isTaken = await changeSource(room, name, (found) => authorizedNow(room, found.source, found.entry, brought))
  if (isTaken) tell(room, 'authorized', name, {})
}

/** Takes in a grant that was pushed; false when it, or a later one, is known. */
export async function deliverGrant(room: Room, name: string, given: Given): Promise<boolean> {
  return await changeSource(room, name, ({ source, entry }) => granted(source, entry, given, room.time.now()))
}

/** The platform withdrew its authorisation, at the instant `at` where it says so: a newer one lives on. */
export async function revokeSource(room: Room, name: string, at: number | null): Promise<void> {
  const isRevoked = await changeSource(room, name, ({ source, entry }) => revoked(source, entry, at, room.time.now()))
  if (isRevoked) tell(room, 'revoked', name, {})
}

/** Changes the entry of a source that there is; false when there was nothing to change. Throws `not_found`. */
async function changeSource(room: Room, name: string, change: (found: Found) => Entry): Promise<boolean> {
  for (let race = 0; race < racesMax; race += 1) {
    const found = await lookUp(room, name)
    if (found === null) throw new ZhongkongError('not_found', 'no such source')
    const entry = change(found)
    if (entry === found.entry) return false
    const written = await room.store.write(name, { entry, dueAt: wakeAt(entry) }, found.revision)
    if (written === null) continue
    // Nobody may be reading it: a platform may tell about a million accounts.
    if (room.views.has(name)) room.views.learn(found.source, entry, written)
    return true
  }
  throw new ZhongkongError('overloaded', 'the source kept changing while it was being written')
}

/** Puts the definition of before back, unless somebody has put another one since. */
async function takeBack(
  room: Room,
  name: string,
  { definition, before }: { readonly definition: JsonObject; readonly before: Entry | null },
): Promise<void> {
  for (let race = 0; race < racesMax; race += 1) {
    const { entry, revision } = await room.store.read(name)
    if (entry === null || JSON.stringify(entry.definition) !== JSON.stringify(definition)) return
    const restored = before === null ? null : { ...entry, definition: before.definition }
    const dueAt = restored === null ? 0 : wakeAt(restored)
    if ((await room.store.write(name, { entry: restored, dueAt }, revision)) !== null) return
  }
}

/** A source as the store has it now, and not as it was when somebody last looked. */
async function definedNow(room: Room, name: string): Promise<Source | null> {
  const inFile = room.book.fileSources.get(name)
  if (inFile !== undefined || !sourceName.test(name)) return inFile ?? null
  const { entry } = await room.store.read(name)
  if (entry?.definition != null) await meetParents(room, entry.definition)
  return room.book.resolve(name, entry)
}

/** Every needed source exists, none of them needs this one, and nobody else's tokens would be retired. */
async function judgeNeighbours(room: Room, source: Source): Promise<void> {
  const needs = await needsBelow(room, source)
  const [circle] = findCycles(needs)
  if (circle !== undefined) {
    throw new ZhongkongError('bad_request', `these sources would wait for each other: ${circle.join(' → ')}`)
  }
  const chain = longestChains(needs).get(source.name) ?? []
  if (chain.length > chainLengthMax) {
    throw new ZhongkongError('bad_request', `more than ${chainLengthMax} tokens in a row: ${chain.join(' → ')}`)
  }
  const channel = retiredChannel(source)
  if (channel === null) return
  for (const name of room.book.inChannel(channel)) {
    const rival = name === source.name ? null : await definedNow(room, name)
    if (rival === null || retiredChannel(rival) !== channel) continue
    throw new ZhongkongError('conflict', `${name} is the same account; each would retire the other's token`)
  }
}

/** Who needs whom, from a source downwards, as deep as any chain may be. */
async function needsBelow(room: Room, source: Source): Promise<Needs> {
  const needs = new Map([[source.name, source.needs]])
  let level = source.needs
  for (let depth = 1; depth <= chainLengthMax && level.length > 0; depth += 1) {
    const next = new Set<string>()
    for (const need of level) {
      const found = need === source.name ? source : await definedNow(room, need)
      if (found === null) throw new ZhongkongError('bad_request', `the needed source ${need} does not exist`)
      needs.set(need, found.needs)
      for (const deeper of found.needs) if (!needs.has(deeper)) next.add(deeper)
    }
    level = [...next]
  }
  return needs
}

/**
 * A source that is asked with the token of another. Like rivals it is looked for among those that this node knows: all of
 * the configuration file, and of those added while running the ones that it has put, read or refreshed since it started,
 * which are all of them after one life of their tokens. Looking through the whole store for each change would make adding
 * many sources a labour of hours. What is missed shows: rivals as `conflict`, a need that was removed by the source's state.
 */
async function findDependent(room: Room, need: string): Promise<Source | null> {
  const asks = ({ name, needs }: Source): boolean => name !== need && needs.includes(need)
  for (const { name } of room.book.known().filter(asks)) {
    const now = await definedNow(room, name)
    if (now !== null && asks(now)) return now
  }
  return null
}

export async function removeSource(room: Room, name: string): Promise<boolean> {
  if (room.book.fileSources.has(name)) {
    throw new ZhongkongError('conflict', 'this source stands in the configuration file; remove it there')
  }
  const dependent = await findDependent(room, name)
  if (dependent !== null) throw new ZhongkongError('conflict', `${dependent.name} is asked with its token`)
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
