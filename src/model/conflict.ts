/**
 * Whether somebody else fetches for one of our accounts. Nobody tells us: it shows by tokens that die before their time
 * though nobody here replaced them. One such death may have any cause; two in a row that are no more than a day apart are a
 * conflict, which is over when no token has died early for a day.
 */
import type { Text } from '../base/text.ts'
import type { Conflict, Entry, Sign, Token } from './entry.ts'
import type { Source } from './source.ts'

const dayMs = 86_400_000
const deathsMax = 10
/** Deaths in a row that make a conflict. */
const deathsMin = 2

/** A conflict that began, or is over, with this commit. */
export type Turn =
  | { readonly kind: 'began'; readonly conflict: Conflict }
  | { readonly kind: 'over'; readonly conflict: Conflict; readonly endedAt: number }

type Replacement = { readonly current: Token | null; readonly now: number; readonly forced: boolean }

/**
 * The sign of an early death in a token that is being replaced; null where its end has another reason, or none that is
 * known. Where the platform can be asked, a report alone proves nothing.
 */
export function deathSign(source: Source, entry: Entry, { current, now, forced }: Replacement): Sign | null {
  const { semantics } = source
  // Nobody can retire a token there by asking for another; and another zhongkong replaces its own as it likes.
  if (current === null || semantics.reissue === 'independent' || semantics.announces === true) return null
  // A request of ours whose answer was lost may have retired it.
  if (current.isUnconfirmed || entry.doubt?.reason === 'stray') return null
  if (current.expiresAt - now <= current.lifetimeMs / 10) return null
  const toldLeftMs = current.issuedAt + current.lifetimeMs - now
  // The window is not scaled to the life here: the first answer may have told the rest of a life only.
  const isRepeated = semantics.reissue !== 'retires-previous' && toldLeftMs > semantics.windowMs
  if (isRepeated && !forced) return 'replaced'
  const isReported = entry.doubt?.reason === 'reported' && entry.doubt.version === current.version
  const { suspicion } = entry
  const isProven = suspicion?.version === current.version && suspicion.said === 'dead'
  return isReported && (isProven || semantics.probe !== true) ? 'refused' : null
}

/** The entry after a token was replaced, whose death had this sign, and what that says. */
export function conflictAfter(
  entry: Entry,
  sign: Sign | null,
  now: number,
): { readonly entry: Entry; readonly turn: Turn | null } {
  const { conflict: row, ...without } = entry
  const last = entry.earlyDeaths.at(-1) ?? -Infinity
  const isQuiet = last <= now - dayMs
  const over: Turn | null =
    row !== undefined && row.count >= deathsMin && isQuiet ? { kind: 'over', conflict: row, endedAt: last } : null
  if (sign === null) return { entry: isQuiet ? without : entry, turn: over }
  const deaths = isQuiet ? [] : entry.earlyDeaths
  // An older program counted them without keeping the row.
  const before: Omit<Conflict, 'sign'> = row ?? { since: deaths[0] ?? now, count: deaths.length }
  const conflict: Conflict = isQuiet
    ? { since: now, count: 1, sign }
    : { since: before.since, count: before.count + 1, sign }
  const began: Turn | null = conflict.count === deathsMin ? { kind: 'began', conflict } : null
  return { entry: { ...without, conflict, earlyDeaths: [...deaths, now].slice(-deathsMax) }, turn: began ?? over }
}

/** Tokens die early again and again: somebody else fetches for this account. */
export function isContested({ conflict, earlyDeaths }: Entry, now: number): boolean {
  const recent = earlyDeaths.filter((at) => at > now - dayMs)
  return recent.length > 0 && (conflict?.count ?? recent.length) >= deathsMin
}

/** What is known of a conflict; instants by the store's clock. Null while there is none. */
export type Contest = {
  readonly sign: Sign
  readonly deaths: number
  readonly since: number
  readonly last: number
  readonly advice: Text
}

export function contestOf(source: Source, entry: Entry, now: number): Contest | null {
  if (!isContested(entry, now)) return null
  const { earlyDeaths } = entry
  const [first = now, last = now] = [earlyDeaths[0], earlyDeaths.at(-1)]
  const { sign, count, since } = entry.conflict ?? { sign: 'refused', count: earlyDeaths.length, since: first }
  return { sign, deaths: count, since, last, advice: adviceOf(source) }
}

/** What to do about it: what can retire a token differs, and so do the ways out. */
function adviceOf({ semantics }: Source): Text {
  if (semantics.reissue === 'retires-previous') {
    return {
      en: 'Another program fetches tokens with this secret, and each one it gets ends ours. Find it and let it read from here. If it cannot be found, use the mode that repeats the token (WeChat: mode: stable), or reset the secret at the platform and write the new one here only.',
      zh: '有其他程序在用同一密钥获取令牌，它每获取一次，我们的令牌就会失效。请找到该程序，让它改从这里读取；找不到时，请改用不会互相作废的方式（微信：mode: stable），或在平台重置密钥，并且只把新密钥写在这里。',
    }
  }
  if (semantics.limits.force !== undefined) {
    return {
      en: 'Somebody replaces the token by force: a program that calls with force_refresh, or a person who resets the secret. Let programs read from here. If none can be found, reset the secret at the platform and write the new one here only.',
      zh: '有人在强制更换令牌：某个程序以 force_refresh 调用，或有人在重置密钥。请让程序改从这里读取；找不到时，请在平台重置密钥，并且只把新密钥写在这里。',
    }
  }
  return {
    en: 'The platform ends tokens early: the secret is being reset, the app was changed or disabled for a while, or another program ends them. See its console, and let other programs read from here.',
    zh: '平台提前终止了令牌：可能是密钥被重置、应用被修改或短暂停用，或有其他程序使其失效。请查看平台后台，并让其他程序改从这里读取。',
  }
}
