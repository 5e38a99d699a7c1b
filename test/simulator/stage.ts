/** A simulator under a clock that only moves when told, with chance from a seed, and short ways to call it. */
import type { Fetch, Random } from '../../src/base/env.ts'
import {
  createSimulator,
  type AccountSettings,
  type Origin,
  type PartialKnobs,
  type Simulator,
  type SimulatorClock,
} from '../../src/simulator/simulator.ts'

export type Body = Record<string, unknown>

export type ManualClock = SimulatorClock & {
  /** Moves on; sleepers whose time has come wake up, in order, and get to run. */
  readonly advance: (ms: number) => Promise<void>
  readonly sleepers: () => number
}

/** Noon in Shanghai, so that no test crosses a midnight by accident. */
export const noon = Date.parse('2026-03-02T12:00:00+08:00')

export function manualClock(startsAt = noon): ManualClock {
  let now = startsAt
  let sleepers: { at: number; wake: () => void }[] = []
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
  }
  return {
    now: () => now,
    monotonic: () => now - startsAt,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve()
          return
        }
        const sleeper = { at: now + Math.min(Math.max(ms, 0), 60_000), wake: resolve }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          resolve()
        })
      }),
    advance: async (ms) => {
      const until = now + ms
      await settle()
      for (;;) {
        const next = sleepers.filter(({ at }) => at <= until).sort((left, right) => left.at - right.at)[0]
        if (next === undefined) break
        sleepers = sleepers.filter((other) => other !== next)
        now = Math.max(now, next.at)
        next.wake()
        await settle()
      }
      now = until
      await settle()
    },
    sleepers: () => sleepers.length,
  }
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  return { next, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)) }
}

export type Stage = {
  readonly simulator: Simulator
  readonly clock: ManualClock
  readonly get: (path: string, origin?: Origin) => Promise<Body>
  readonly post: (path: string, body?: unknown, origin?: Origin) => Promise<Body>
  readonly send: (path: string, init?: RequestInit) => Promise<Response>
}

export type StageOptions = {
  readonly accounts?: readonly AccountSettings[]
  readonly knobs?: PartialKnobs
  readonly seed?: number
  readonly startsAt?: number
  readonly journalMax?: number
  readonly send?: Fetch
}

export function stage(options: StageOptions = {}): Stage {
  const { seed = 1, startsAt, ...rest } = options
  const clock = manualClock(startsAt)
  const simulator = createSimulator({ clock, random: seededRandom(seed), ...rest })
  const send = (path: string, init?: RequestInit): Promise<Response> =>
    simulator.fetch(new Request(`http://simulator${path}`, init))
  return {
    simulator,
    clock,
    send,
    get: async (path, origin) => read(await simulator.fetch(new Request(`http://simulator${path}`), origin)),
    post: async (path, body, origin) => {
      const init = { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
      return read(await simulator.fetch(new Request(`http://simulator${path}`, init), origin))
    },
  }
}

async function read(response: Response): Promise<Body> {
  return (await response.json()) as Body
}
