/**
 * Programs that read every source from every node all the time, others that wait for each new version, and one that
 * reports tokens and asks for new ones now and then.
 */
import { Agent } from 'node:http'
import { askNode, record, tokenIn, type Answer } from './ask-node.ts'
import { digestOf, type RefreshTold } from './history.ts'
import type { House, Live } from './house.ts'
import type { Recorder } from './recorder.ts'

export type LoadOptions = {
  readonly house: House
  readonly recorder: Recorder
  readonly nodes: number
  readonly sources: readonly string[]
  /** Sources whose current token is reported now and then, and those that somebody wants a new token of. */
  readonly reported: readonly string[]
  readonly wished: readonly string[]
  readonly accepts: (token: string) => boolean
  /** Between two reads of one reader, in milliseconds. */
  readonly pauseMs: number
}

export type Load = {
  /** No more reports and wishes; resolves when the last of them is answered. */
  readonly settle: () => Promise<void>
  readonly stop: () => Promise<void>
}

const readersPerNode = 2
const waitSeconds = 20
/** Between two calls for a refresh, in milliseconds. Few, so that the schedule still has most to do. */
const refreshPauseMs = 900
/** Who has seen a newer token this long ago, in milliseconds, may expect its node to know that the other one is old. */
const oldMs = 2_000

export function startLoad(options: LoadOptions): Load {
  const { recorder, nodes, sources, house } = options
  const agent = new Agent({ keepAlive: true })
  let isStopped = false
  let isSettling = false
  const goesOn = (): boolean => !isStopped && !recorder.isClosed
  const pause = async (ms: number): Promise<void> => await recorder.pause(ms)

  const reader = async (node: number, first: number): Promise<void> => {
    for (let turn = first; goesOn(); turn += 1) {
      const live = house.live(node)
      if (live !== null) await readOnce(options, agent, live, sources[turn % sources.length]!)
      await pause(options.pauseMs)
    }
  }
  const waiter = async (node: number, source: string): Promise<void> => {
    let known: Known | null = null
    while (goesOn()) {
      const live = house.live(node)
      if (live === null) {
        known = null
        await pause(20)
        continue
      }
      known = await waitOnce(options, agent, { live, source, known })
      if (known === null) await pause(100)
    }
  }
  const refresher = async (): Promise<void> => {
    const caller = new Caller(options, agent)
    for (let turn = 0; goesOn() && !isSettling; turn += 1) {
      const live = house.live(turn % nodes)
      if (live !== null) await caller.call(live, turn)
      await pause(refreshPauseMs)
    }
  }
  const all = Array.from({ length: nodes }, (_, node) => [
    ...Array.from({ length: readersPerNode }, (_, first) => reader(node, first * 3)),
    ...sources.map((source) => waiter(node, source)),
  ]).flat()
  const refreshing = refresher()
  return {
    settle: async () => {
      isSettling = true
      await refreshing
    },
    stop: async () => {
      isStopped = true
      agent.destroy()
      await Promise.all([...all, refreshing])
      // Whatever was asked meanwhile on a connection of its own.
      agent.destroy()
    },
  }
}

async function readOnce({ recorder, accepts }: LoadOptions, agent: Agent, live: Live, source: string): Promise<Answer> {
  const from = recorder.now()
  const answer = await askNode(agent, { url: `${live.url}/v1/tokens/${source}` })
  record(recorder, accepts, { live, source, from, answer })
  return answer
}

/** What a waiter has. */
type Known = { readonly tag: string; readonly version: number }

type Waiting = { readonly live: Live; readonly source: string; readonly known: Known | null }

/** What is served now; null when there is nothing to wait with. */
async function waitOnce(
  { recorder, accepts }: LoadOptions,
  agent: Agent,
  { live, source, known }: Waiting,
): Promise<Known | null> {
  const from = recorder.now()
  const url = `${live.url}/v1/tokens/${source}`
  const waiting = known === null ? null : { url: `${url}?wait=${waitSeconds}`, headers: { 'if-none-match': known.tag } }
  // A process that froze answers when it wakes, which may be later than anybody waits.
  const answer = await askNode(agent, waiting === null ? { url } : { ...waiting, withinMs: (waitSeconds + 5) * 1_000 })
  const more = known === null ? {} : { more: { wait: { newerThan: known.version, forMs: waitSeconds * 1_000 } } }
  record(recorder, accepts, { live, source, from, answer, ...more })
  if (answer.status === 304) return known
  const told = tokenIn(answer)
  return told === null || answer.tag === null ? null : { tag: answer.tag, version: told.version }
}

type Seen = { readonly token: string; readonly version: number; readonly at: number }

/** Calls for refreshes, in turn: of a token that was replaced, of the current one, and of none. */
class Caller {
  readonly #options: LoadOptions
  readonly #agent: Agent
  /** By process and source: the last two tokens that were read from it. */
  readonly #seen = new Map<string, { readonly now: Seen; readonly before: Seen | null }>()

  constructor(options: LoadOptions, agent: Agent) {
    this.#options = options
    this.#agent = agent
  }

  async call(live: Live, turn: number): Promise<void> {
    const { sources, reported, wished, nodes } = this.#options
    const round = Math.floor(turn / nodes)
    const kind = (['old', 'current', 'old', 'wish'] as const)[turn % 4]!
    const among = kind === 'old' ? sources : kind === 'current' ? reported : wished
    const source = among[round % among.length]
    if (source === undefined) return
    const seen = await this.#look(live, source)
    if (seen === null) return
    if (kind !== 'old') await this.#refresh(live, source, kind, seen.now)
    else if (seen.before !== null && this.#options.recorder.now() - seen.now.at >= oldMs) {
      await this.#refresh(live, source, kind, seen.before)
    }
  }

  /** What this process serves, and what it served before. */
  async #look(live: Live, source: string): Promise<{ readonly now: Seen; readonly before: Seen | null } | null> {
    const told = tokenIn(await readOnce(this.#options, this.#agent, live, source))
    if (told === null) return null
    const key = `${live.node} ${live.process} ${source}`
    const known = this.#seen.get(key)
    if (known !== undefined && known.now.version >= told.version) return known
    const now = { token: told.token, version: told.version, at: this.#options.recorder.now() }
    const seen = { now, before: known?.now ?? null }
    this.#seen.set(key, seen)
    return seen
  }

  async #refresh(live: Live, source: string, kind: RefreshTold['kind'], { token, version }: Seen): Promise<void> {
    const { recorder, accepts } = this.#options
    const from = recorder.now()
    const url = `${live.url}/v1/tokens/${source}/refresh`
    const answer = await askNode(this.#agent, { url, body: kind === 'wish' ? {} : { stale: token } })
    const told = tokenIn(answer)
    const refresh = {
      kind,
      token: digestOf(token),
      version,
      refreshed: told?.refreshed === true,
      reason: told?.reason ?? '',
    }
    record(recorder, accepts, { live, source, from, answer, more: { refresh } })
  }
}
