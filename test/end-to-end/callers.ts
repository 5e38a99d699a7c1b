/**
 * Programs that read and refresh all the time, and a ledger of what they were told: a version is never taken back, never
 * has two tokens, and no token is dead at the upstream when it is handed out.
 */
import { tokenIn, type TokenRead } from './accounts.ts'
import { ask, type Asked } from './ask.ts'
import { moment, type Upstream } from './stage.ts'

export type Breach = { readonly name: string; readonly what: string }

export class Ledger {
  readonly breaches: Breach[] = []
  readonly #highest = new Map<string, number>()
  readonly #tokens = new Map<string, string>()
  readonly #dead = new Map<string, { readonly first: number; last: number }>()

  /** The version that every answer asked for from now on must have reached. */
  floor(name: string): number {
    return this.#highest.get(name) ?? 0
  }

  see(name: string, { version, token }: TokenRead, floor: number): void {
    if (version < floor) this.breaches.push({ name, what: `version ${version} after ${floor}` })
    const known = this.#tokens.get(`${name} ${version}`)
    if (known !== undefined && known !== token) this.breaches.push({ name, what: `two tokens of version ${version}` })
    this.#tokens.set(`${name} ${version}`, token)
    this.#highest.set(name, Math.max(this.floor(name), version))
  }

  /** A token was handed out that the upstream had already killed. */
  seeDead(token: string, at: number): void {
    const span = this.#dead.get(token) ?? { first: at, last: at }
    this.#dead.set(token, { ...span, last: at })
  }

  /** The longest time in milliseconds for which one dead token was handed out. */
  get deadMsMax(): number {
    return Math.max(0, ...[...this.#dead.values()].map(({ first, last }) => last - first))
  }
}

export type Counts = {
  reads: number
  /** Reads that got no token from a server that was alive. */
  unserved: number
  /** Tokens that the upstream would not have taken at the moment they were handed out. */
  dead: number
  /** Rotations that were acknowledged to whoever asked. */
  rotations: number
}

export type Callers = {
  readonly ledger: Ledger
  readonly counts: Counts
  readonly failures: string[]
  /** Where they ask; null: nobody is there, and nobody is asked. */
  turnTo(url: string | null): void
  /** From now on they only read. */
  askForNothingNew(): void
  stop(): Promise<void>
}

/** Below what a source is asked upstream in a minute at the most, with room for what kills cost. */
const refreshPauseMs = 4_000

export type CallersOptions = {
  readonly upstream: Upstream
  readonly names: readonly string[]
  readonly readers: number
  /** Sources that are also refreshed all the time. */
  readonly refreshed: readonly string[]
}

export function startCallers({ upstream, names, readers, refreshed }: CallersOptions): Callers {
  const ledger = new Ledger()
  const counts: Counts = { reads: 0, unserved: 0, dead: 0, rotations: 0 }
  const failures: string[] = []
  let place: string | null = null
  let isRefreshing = true
  let isStopped = false

  /** Null when the server went away meanwhile: what it did not say is not known. */
  const askPlace = async (path: string, body?: object): Promise<Asked | null> => {
    const at = place
    if (at === null) return null
    try {
      return await ask(`${at}${path}`, body === undefined ? {} : { body })
    } catch (thrown) {
      if (place === at) failures.push(`${path}: ${String(thrown)}`)
      return null
    }
  }
  const read = async (name: string): Promise<void> => {
    const floor = ledger.floor(name)
    const answer = await askPlace(`/v1/tokens/${name}`)
    if (answer === null) return
    counts.reads += 1
    if (answer.status !== 200) {
      counts.unserved += 1
      failures.push(`${name}: ${answer.text}`)
      return
    }
    const told = tokenIn(answer)
    if (!upstream.simulator.accepts(told.token)) {
      counts.dead += 1
      ledger.seeDead(told.token, performance.now())
    }
    ledger.see(name, told, floor)
  }
  const refresh = async (name: string): Promise<void> => {
    if (!isRefreshing) return
    const floor = ledger.floor(name)
    const answer = await askPlace(`/v1/tokens/${name}/refresh`, {})
    if (answer?.status !== 200) return
    if (answer.json.refreshed === true) counts.rotations += 1
    ledger.see(name, tokenIn(answer), floor)
  }
  const loop = async (pauseMs: number, act: (turn: number) => Promise<void>): Promise<void> => {
    for (let turn = 0; !isStopped; turn += 1) {
      await act(turn)
      await moment(pauseMs)
    }
  }
  const loops = [
    ...Array.from({ length: readers }, (_, reader) => loop(5, (turn) => read(names[(reader + turn) % names.length]!))),
    ...refreshed.map(async (name, index) => {
      await moment((refreshPauseMs * index) / refreshed.length)
      await loop(refreshPauseMs, () => refresh(name))
    }),
  ]
  return {
    ledger,
    counts,
    failures,
    turnTo: (url) => (place = url),
    askForNothingNew: () => (isRefreshing = false),
    stop: async () => {
      isStopped = true
      await Promise.all(loops)
    },
  }
}
