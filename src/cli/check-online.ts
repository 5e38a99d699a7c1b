/**
 * What only the network and the disk can tell: does each upstream give a token, do the clocks agree, can the store be
 * written. A token in use is not retired for the sake of a check.
 */
import { deadline, type Env, type Fetch } from '../base/env.ts'
import { asZhongkongError, errorTable } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { Config } from '../config/config.ts'
import type { Failure } from '../model/failure.ts'
import { topologicalOrder } from '../model/graph.ts'
import type { Source } from '../model/source.ts'
import type { Call, Input } from '../providers/provider.ts'
import type { Attempt } from '../model/failure.ts'
import type { EntryStore, Notice } from '../stores/store.ts'

export type SourceFinding = { readonly name: string } & (
  | { readonly outcome: 'ok'; readonly lifetimeMs: number | null; readonly tookMs: number }
  | { readonly outcome: 'not-asked'; readonly why: Text }
  | { readonly outcome: 'failed'; readonly failure: Failure }
)

export type StoreFinding = (
  | { readonly outcome: 'ok' | 'nothing-to-check' }
  | { readonly outcome: 'failed'; readonly message: string; readonly hint: Text }
) & {
  /** What the store says of itself and of its server: settings by which writes may be lost, say. */
  readonly notices: readonly Notice[]
}

export type OnlineFindings = {
  readonly store: StoreFinding
  /** How far the upstreams' clocks are ahead of ours, in milliseconds; null when none told. */
  readonly skewMs: number | null
  readonly sources: readonly SourceFinding[]
}

export type OnlineOutside = {
  readonly env: Env
  readonly issue: (source: Source, call: Call) => Promise<Attempt>
  readonly openStore: (config: Config, onNotice: (notice: Notice) => void) => Promise<EntryStore>
}

/** A name that no source can have, so that the probe touches nobody's record. */
const probeName = '~check'
/** Sources that are asked at the same time. */
const atOnce = 4

export async function checkOnline(
  config: Config,
  outside: OnlineOutside,
  signal: AbortSignal,
): Promise<OnlineFindings> {
  const clocks = new ClockWatch(outside.env)
  const { finding, store } = await probeStore(config, outside)
  try {
    const asker = new Asker(outside, { store, env: clocks.env, signal, isMemory: config.store === 'memory:' })
    const sources = await asker.askAll(config.sources)
    return { store: finding, skewMs: clocks.skewMs(), sources }
  } finally {
    await store?.close().catch(() => undefined)
  }
}

/** Opens the store and writes that a name which nothing has is still nothing. */
async function probeStore(
  config: Config,
  { openStore }: OnlineOutside,
): Promise<{ finding: StoreFinding; store: EntryStore | null }> {
  const notices: Notice[] = []
  if (config.store === 'memory:') return { finding: { outcome: 'nothing-to-check', notices }, store: null }
  let store: EntryStore | null = null
  try {
    store = await openStore(config, (notice) => notices.push(notice))
    const { revision } = await store.read(probeName)
    // Null would say that another check wrote in between, and so has shown that the store can be written.
    await store.write(probeName, { entry: null, dueAt: 0 }, revision)
    return { finding: { outcome: 'ok', notices }, store }
  } catch (thrown) {
    const { message, code, hint = errorTable[code].text } = asZhongkongError(thrown)
    return { finding: { outcome: 'failed', message, hint, notices }, store }
  }
}

type AskerOptions = {
  readonly store: EntryStore | null
  readonly env: Env
  readonly signal: AbortSignal
  readonly isMemory: boolean
}

class Asker {
  readonly #outside: OnlineOutside
  readonly #options: AskerOptions
  readonly #inputs = new Map<string, Input>()
  readonly #findings = new Map<string, SourceFinding>()

  constructor(outside: OnlineOutside, options: AskerOptions) {
    this.#outside = outside
    this.#options = options
  }

  /** Those whose needs are met first; a few at a time. */
  async askAll(sources: readonly Source[]): Promise<SourceFinding[]> {
    const byName = new Map(sources.map((source) => [source.name, source]))
    const order = topologicalOrder(new Map(sources.map(({ name, needs }) => [name, needs])))
    const waiting = order.flatMap((name) => byName.get(name) ?? [])
    while (waiting.length > 0 && !this.#options.signal.aborted) {
      const isReady = (source: Source): boolean => source.needs.every((need) => this.#findings.has(need))
      const batch = waiting.filter(isReady).slice(0, atOnce)
      // Only a need that does not exist could leave nothing ready, and the configuration was checked for that.
      if (batch.length === 0) break
      for (const source of batch) waiting.splice(waiting.indexOf(source), 1)
      await Promise.all(batch.map(async (source) => this.#findings.set(source.name, await this.#finding(source))))
    }
    return sources.map((source) => this.#findings.get(source.name) ?? notAsked(source.name, stopped))
  }

  async #finding(source: Source): Promise<SourceFinding> {
    const missing = source.needs.find((need) => !this.#inputs.has(need))
    if (missing !== undefined) return notAsked(source.name, waitsFor(missing))
    const { grant } = source.semantics
    if (grant !== undefined && grant.isRecoverable !== true) return notAsked(source.name, usesGrant)
    if (source.semantics.reissue === 'retires-previous') {
      if (this.#options.isMemory) return notAsked(source.name, mayBeInUse)
      if (await this.#isHeld(source)) return notAsked(source.name, inUse)
    }
    return await this.#ask(source)
  }

  /** Whether the store holds a living token of a source; dependants are then asked with it. */
  async #isHeld(source: Source): Promise<boolean> {
    const { store } = this.#options
    if (store === null) return true
    try {
      const [{ entry }, now] = await Promise.all([store.read(source.name), store.now()])
      const token = entry?.token ?? null
      if (token === null || token.expiresAt <= now || token.identity !== source.identity) return false
      this.#inputs.set(source.name, { token: token.value, version: token.version, fields: token.fields })
      return true
    } catch {
      // A store that cannot be read may hold a token in use, and has been reported already.
      return true
    }
  }

  async #ask(source: Source): Promise<SourceFinding> {
    const { env, signal: parent } = this.#options
    const { signal, done } = deadline(env.clock, source.policy.timeoutMs, parent)
    const began = env.clock.monotonic()
    const { proxy } = source.policy
    try {
      const call: Call = { env, signal, force: false, inputs: this.#inputs, ...(proxy === undefined ? {} : { proxy }) }
      const attempt = await this.#outside.issue(source, call)
      if (attempt.outcome !== 'issued') return { name: source.name, outcome: 'failed', failure: attempt.failure }
      const { value, fields, lifetimeMs } = attempt.issued
      this.#inputs.set(source.name, { token: value, version: 0, fields })
      return { name: source.name, outcome: 'ok', lifetimeMs, tookMs: Math.round(env.clock.monotonic() - began) }
    } finally {
      done()
    }
  }
}

function notAsked(name: string, why: Text): SourceFinding {
  return { name, outcome: 'not-asked', why }
}

const stopped: Text = { en: 'the check was stopped', zh: '检查已中止' }
const usesGrant: Text = {
  en: 'asking might use up its refresh token; a running server shows its state (zhongkong status)',
  zh: '请求可能会用掉其 refresh_token；其状态可在运行中的服务器上查看（zhongkong status）',
}
const inUse: Text = {
  en: 'asking would retire the token in use (classic mode)',
  zh: '重新获取会使正在使用的令牌失效（classic 模式）',
}
const mayBeInUse: Text = {
  en: 'asking might retire a token in use (classic mode, and the store is memory:)',
  zh: '重新获取可能使正在使用的令牌失效（classic 模式，且存储为 memory:）',
}

function waitsFor(name: string): Text {
  return { en: `it needs the token of ${name}`, zh: `需要先有 ${name} 的令牌` }
}

/** Reads the clocks of others from the Date headers that pass by. */
class ClockWatch {
  readonly env: Env
  readonly #skews: number[] = []

  constructor(env: Env) {
    const fetch: Fetch = async (request, options) => {
      const sentAt = env.clock.now()
      const response = await env.fetch(request, options)
      const theirs = Date.parse(response.headers.get('date') ?? '')
      // The header has whole seconds: on average, half a second has passed since.
      if (!Number.isNaN(theirs)) this.#skews.push(theirs + 500 - (sentAt + env.clock.now()) / 2)
      return response
    }
    this.env = { ...env, fetch }
  }

  /** The middle one, so that a single server with a wrong clock accuses nobody. */
  skewMs(): number | null {
    const sorted = this.#skews.toSorted((a, b) => a - b)
    return sorted[Math.floor((sorted.length - 1) / 2)] ?? null
  }
}
