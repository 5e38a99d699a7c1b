/**
 * SDKs that ask for a token again long before the end they were told. Many do so for no reason (each process has a cache of
 * its own), and some because the platform refused the token: so it is a hint that the platform may be asked about, and
 * nothing more. Only what speaks the platforms' own wire format is watched: there a program has no other way to tell.
 */
import type { Clock } from '../base/env.ts'
import type { Keeper, Reading } from '../keeper/keeper.ts'
import type { Source } from '../model/source.ts'

export type Asker = { readonly client: string | null; readonly address: string | null }

/** Takes note that a token was given out, and passes on the hint if it was asked for too early. */
export type NoteAsk = (source: Source, asker: Asker, reading: Reading) => void

/** Askers that are remembered, those of the longest silence dropped first. */
const askersMax = 4_096
/** The largest margin that an SDK takes off the end it is told, in milliseconds (silenceper/wechat takes 1500 s). */
const marginMsMax = 1_500_000

type Told = { readonly version: number; readonly at: number; readonly leftMs: number }

export function createReAsks(keeper: Pick<Keeper, 'hint'>, clock: Clock): NoteAsk {
  const askers = new Map<string, Told>()
  return (source, { client, address }, { snapshot, leftMs }) => {
    if (source.semantics.probe !== true) return
    const key = `${client ?? `@${address ?? ''}`} ${source.name}`
    const now = clock.monotonic()
    const told = askers.get(key)
    const isEarly = told?.version === snapshot.version && now < told.at + earlyMs(told.leftMs)
    // The first telling counts: whoever asks all the time is early each time.
    if (told?.version !== snapshot.version) {
      askers.delete(key)
      askers.set(key, { version: snapshot.version, at: now, leftMs })
      const [oldest] = askers.size > askersMax ? askers.keys() : []
      if (oldest !== undefined) askers.delete(oldest)
    }
    if (isEarly) keeper.hint(source.name, snapshot.version, { kind: 're-ask', client })
  }
}

/** Sooner than this after it was told, nobody who keeps the token as long as it may asks again, in milliseconds. */
function earlyMs(leftMs: number): number {
  return Math.max(0, Math.min(leftMs / 2, leftMs - marginMsMax))
}
