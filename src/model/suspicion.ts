/**
 * What to do about somebody's word that the current token is dead. Where the platform can be asked without issuing
 * anything, it is: by one *probe* for all who say so at a time, no oftener than the gap, and more rarely for those whose
 * word has been wrong. What is known of that lies in the entry, so all nodes together ask no oftener than one.
 */
import type { Entry, Refuted, Said, Suspicion, WitnessKind } from './entry.ts'
import type { Source } from './source.ts'

export type { Said } from './entry.ts'

/**
 * Who says that a token is dead. `report`: a caller said so. `gateway`: this server saw the platform refuse a caller's
 * request for it. `input`: the keeper itself was refused when it asked for another source's token with it. `re-ask`: a
 * program asked for the token again long before the end it was told, as SDKs do that were refused with it.
 */
export type Witness = {
  readonly kind: WitnessKind
  /** The client's name in the configuration; null for one without a key. */
  readonly client: string | null
}

export type Step =
  | { readonly act: 'probe' }
  /** A probe is on its way, by whichever node, or one may be sent in a moment. */
  | { readonly act: 'wait' }
  /** It is known well enough, or the witness has been wrong too lately. From `until` on, its word would lead to a probe. */
  | { readonly act: 'take'; readonly said: Said; readonly until: number }

/** A probe that has no answer after this time has none, in milliseconds. */
export const probeMsMax = 3_000
/** So long another node's probe is waited for, in milliseconds: its time and that of two writes. */
export const probeWaitMs = probeMsMax + 1_000
/** Two probes of a source are at least this far apart, in milliseconds; shorter lives scale it down. */
const gapMsMax = 2_000
/** Witnesses that are remembered for having been wrong, and for how long, in milliseconds. */
const refutedMax = 16
const refutedMs = 86_400_000
/** A client that was wrong this often in a row is told of. */
export const falseReportsMin = 3

/**
 * How long the word of a witness weighs nothing after it was wrong: it doubles each time, up to `msMax`. Asking again is a
 * weak hint, as programs do so without any reason; what we saw the platform say is a strong one.
 */
const paces: Readonly<Record<WitnessKind, { readonly gaps: number; readonly msMax: number }>> = {
  report: { gaps: 5, msMax: 60_000 },
  gateway: { gaps: 5, msMax: 60_000 },
  input: { gaps: 5, msMax: 60_000 },
  're-ask': { gaps: 15, msMax: 3_600_000 },
}

function gapMsOf(lifetimeMs: number): number {
  return Math.min(gapMsMax, lifetimeMs / 20)
}

/** What to do about a witness's word about the current version. */
export function stepFor(source: Source, entry: Entry, witness: Witness, now: number): Step {
  const { suspicion, token, version } = entry
  if (source.semantics.probe !== true || token === null) return { act: 'take', said: 'unclear', until: Infinity }
  const gapMs = gapMsOf(token.lifetimeMs)
  const sinceMs = suspicion === undefined ? Infinity : Math.abs(now - suspicion.askedAt)
  const last = suspicion?.version === version ? suspicion : undefined
  if (last !== undefined && last.said === undefined && sinceMs < probeWaitMs) return { act: 'wait' }
  const refuted = suspicion?.refuted?.find((each) => isSame(each, witness))
  const quietMs = refuted === undefined ? 0 : paceMs(refuted, token.lifetimeMs) - Math.abs(now - refuted.at)
  const waitMs = Math.max(gapMs - sinceMs, quietMs)
  if (waitMs <= 0) return { act: 'probe' }
  const until = now + waitMs
  const heard = sinceMs < gapMs ? last?.said : undefined
  if (heard === 'dead' || heard === 'unclear') return { act: 'take', said: heard, until }
  // It may have died since. Whoever has not been wrong lately waits the moment until the platform may be asked again.
  if (quietMs <= 0 && witness.kind !== 're-ask') return { act: 'wait' }
  return { act: 'take', said: 'alive', until }
}

function paceMs({ kind, times }: Refuted, lifetimeMs: number): number {
  const { gaps, msMax } = paces[kind]
  return Math.min(msMax, lifetimeMs / 4, gapMsOf(lifetimeMs) * gaps * 2 ** (times - 1))
}

/** All who ask again are one witness, whoever they are: they are many, and each of them says little. */
function isSame(refuted: Refuted, { kind, client }: Witness): boolean {
  return refuted.kind === kind && (kind === 're-ask' || refuted.client === client)
}

/** The entry before a probe: the durable intent to send it. */
export function asked(entry: Entry, now: number): Entry {
  const { refuted } = entry.suspicion ?? {}
  const suspicion = { askedAt: now, version: entry.version, ...(refuted === undefined ? {} : { refuted }) }
  return { ...entry, suspicion }
}

/** The entry after a probe's answer, and the clients that have to be told of because of it. */
export function answered(
  entry: Entry,
  said: Said,
  witnesses: readonly Witness[],
  now: number,
): { readonly entry: Entry; readonly told: readonly Refuted[] } {
  const before = (entry.suspicion?.refuted ?? []).filter(({ at }) => Math.abs(now - at) < refutedMs)
  const untouched = before.filter((each) => !witnesses.some((witness) => isSame(each, witness)))
  const wrong = witnesses.map(({ kind, client }): Refuted => {
    const times = before.find((each) => isSame(each, { kind, client }))?.times ?? 0
    return { kind, client: kind === 're-ask' ? null : client, times: times + 1, at: now }
  })
  const refuted =
    said === 'unclear' ? before : said === 'dead' ? untouched : [...untouched, ...wrong].slice(-refutedMax)
  const suspicion: Suspicion = {
    askedAt: entry.suspicion?.askedAt ?? now,
    version: entry.version,
    said,
    ...(refuted.length === 0 ? {} : { refuted }),
  }
  const told = said === 'alive' ? wrong.filter((each) => each.kind === 'report' && each.times === falseReportsMin) : []
  return { entry: { ...entry, suspicion }, told }
}

/** The entry when the platform refused its token to the keeper itself, which leaves nothing to ask. */
export function refusedHere(source: Source, entry: Entry, now: number): Entry {
  if (source.semantics.probe !== true) return entry
  return answered(
    { ...entry, suspicion: { ...entry.suspicion, askedAt: now, version: entry.version } },
    'dead',
    [],
    now,
  ).entry
}
