/**
 * Many accounts that authorise one third-party platform of WeChat, each by a push of its own, and a day after that: a
 * real node with its surfaces at the simulated platform, under a virtual clock. Accounts are looked at once an hour,
 * all of them.
 */
import type { JsonObject } from '../../src/base/json.ts'
import type { SourceAnswer } from '../../src/wire/v1.ts'
import { Towns, type Town } from './towns.ts'

export type AuthorisedDay = {
  readonly accounts: number
  readonly hours: number
  /** Sources that were there when all had authorised. */
  readonly made: number
  /** How often a source was seen without a token that lives for another minute, twice within seconds; the first of them. */
  readonly lapses: number
  readonly firstLapse: string | null
  /** Tokens of accounts that the platform issued, in all and for the account with the most. */
  readonly issues: number
  readonly issuesMax: number
  /** What `recover` made of the platform's own list at the end. */
  readonly recovered: { readonly made: number; readonly mended: number; readonly kept: number }
  /** What the node never foresaw. */
  readonly faults: readonly unknown[]
}

export type DayOptions = {
  readonly accounts: number
  readonly hours: number
  /** Hears of progress, in words. */
  readonly tell?: (text: string) => void
}

const minute = 60_000
const pushEveryMs = 10 * minute
/** The simulated platform remembers ten thousand codes that nobody took. */
const batch = 1_000
const aesKey = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'

const component = {
  kind: 'wechat-component',
  id: 'wxc',
  secret: 'canary-wxc',
  callback: { url: 'http://hub.test/callback/platform', token: 'canary-token', key: aesKey },
} as const

const platform: JsonObject = {
  provider: 'wechat-component',
  appid: 'wxc',
  secret: 'canary-wxc',
  base_url: 'http://up.test/wechat',
  callback: { token: 'canary-token', encoding_aes_key: aesKey },
}

/** `wx` and sixteen digits, as WeChat's are. */
export function appidOf(index: number): string {
  return `wx${String(index).padStart(16, '0')}`
}

export async function runAuthorisedDay({
  accounts,
  hours,
  tell = () => undefined,
}: DayOptions): Promise<AuthorisedDay> {
  const towns = new Towns([component])
  try {
    const hub = await towns.open('hub.test', { platform })
    // The first ticket; the platform can be asked once it is there.
    await pushDue(towns)
    await towns.pass(5_000)
    for (let first = 0; first < accounts; first += batch) {
      const last = Math.min(first + batch, accounts)
      for (let index = first; index < last; index += 1) towns.simulator.authorise('wxc', appidOf(index))
      await pushDue(towns)
      tell(`${last} of ${accounts} accounts authorised`)
    }
    await towns.pass(minute)
    const { size: made } = (await look(hub)).versions
    let lapses = 0
    let firstLapse: string | null = null
    for (let hour = 1; hour <= hours; hour += 1) {
      for (let passed = 0; passed < 60 * minute; passed += pushEveryMs) {
        await pushDue(towns)
        await towns.pass(pushEveryMs)
      }
      // Little is promised of a token that is being replaced at this very moment: those are looked at again.
      const { short } = await look(hub)
      await towns.pass(5_000)
      const lapsed = await stillShort(hub, short)
      lapses += lapsed.length
      firstLapse ??= lapsed[0] ?? null
      tell(`hour ${hour} of ${hours}: ${lapses} lapses`)
    }
    const { versions } = await look(hub)
    const recovered = await recoverAll(hub)
    const versionsOf = [...versions.values()]
    return {
      accounts,
      hours,
      made,
      lapses,
      firstLapse,
      issues: versionsOf.reduce((sum, version) => sum + version, 0),
      issuesMax: versionsOf.reduce((most, version) => Math.max(most, version), 0),
      recovered,
      faults: towns.faults,
    }
  } finally {
    await towns.close()
  }
}

async function pushDue(towns: Towns): Promise<void> {
  // Each push is a request and an exchange of its own, one after the other.
  const pushed = await towns.clock.until(towns.simulator.pushDue(), 10 * 60 * minute)
  if (pushed.lost > 0) throw new Error(`${pushed.lost} pushes were not taken`)
}

type Look = {
  /** Of each account's source. */
  readonly versions: ReadonlyMap<string, number>
  /** Those whose token does not live for another minute. */
  readonly short: readonly string[]
}

const leftMin = 60

/** All accounts, as `GET /v1/sources` lists them. */
async function look(hub: Town): Promise<Look> {
  const versions = new Map<string, number>()
  const short: string[] = []
  let after: string | null = null
  do {
    const query: string = after === null ? '' : `?after=${encodeURIComponent(after)}`
    const { json } = await hub.ask(`/v1/sources${query}`)
    const page = json as unknown as { sources: readonly SourceAnswer[]; next: string | null }
    for (const { name, expires_in: left, version } of page.sources) {
      if (name === 'platform') continue
      versions.set(name, version)
      if ((left ?? 0) < leftMin) short.push(name)
    }
    after = page.next
  } while (after !== null)
  return { versions, short }
}

/** Those of them that are no better now, each with its state. */
async function stillShort(hub: Town, names: readonly string[]): Promise<readonly string[]> {
  const found: string[] = []
  for (const name of names) {
    const { state, expires_in: left } = (await hub.ask(`/v1/sources/${encodeURIComponent(name)}`)).json as SourceAnswer
    if ((left ?? 0) < leftMin) found.push(`${name}: ${state}`)
  }
  return found
}

async function recoverAll(hub: Town): Promise<AuthorisedDay['recovered']> {
  const sum = { made: 0, mended: 0, kept: 0 }
  let offset: number | null = 0
  while (offset !== null) {
    const asked = { method: 'POST', body: JSON.stringify({ offset }) }
    const { status, json } = await hub.ask('/v1/sources/platform/recover', asked)
    if (status !== 200) throw new Error(`recover answered ${status} at account ${offset}`)
    const part = json as unknown as { made: number; mended: number; kept: number; next: number | null }
    sum.made += part.made
    sum.mended += part.mended
    sum.kept += part.kept
    offset = part.next
  }
  return sum
}
