/** How every source is doing, for people. */
import { spentInDay } from '../model/budget.ts'
import { contestOf } from '../model/conflict.ts'
import { stateOf, tokenOf } from '../model/decide.ts'
import type { Entry } from '../model/entry.ts'
import { promiseCapMs, promisedAt } from '../model/expiry.ts'
import { authorizedAt } from '../model/grant.ts'
import type { Source } from '../model/source.ts'
import type { SourceState } from './keeper.ts'
import { lookUp, meetParents, type Room } from './room.ts'

export async function sourceState(room: Room, name: string): Promise<SourceState | undefined> {
  const found = await lookUp(room, name)
  return found === null ? undefined : describe(room, found.source, found.entry)
}

export async function sourceStates(
  room: Room,
  query: { readonly after?: string; readonly limit: number },
): Promise<{ states: readonly SourceState[]; next: string | null }> {
  const page = await room.store.scan(query)
  for (const { entry } of page.records) if (entry.definition !== null) await meetParents(room, entry.definition)
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
  const contest = contestOf(source, entry, now)
  const leftMs =
    token === null ? null : Math.min(promisedAt(source, entry, token, now) - now, promiseCapMs(source, entry))
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
    contest:
      contest === null
        ? null
        : { ...contest, since: room.time.toWall(contest.since), last: room.time.toWall(contest.last) },
    authorizedAt: authorizedAt(source, entry),
  }
}
