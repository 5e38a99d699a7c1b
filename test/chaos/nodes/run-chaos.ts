/**
 * One run: three nodes on one store, each source rotating every few seconds, read load on every node, and blows. Answers
 * its whole history and the checker's verdict.
 */
import { randomBytes } from 'node:crypto'
import type { Definition } from '../../end-to-end/accounts.ts'
import { openStage } from '../../end-to-end/stage.ts'
import { freePorts } from '../../servers/server-process.ts'
import { Chance } from '../../simulation/chance.ts'
import { checkHistory, type Verdict } from './check-history.ts'
import { drawBlows, type Blow, type Plan } from './draw-blows.ts'
import { figuresOf, type Figures } from './figures.ts'
import type { History, SourceFacts } from './history.ts'
import { openHouse, type House } from './house.ts'
import { startLoad } from './load.ts'
import { Recorder } from './recorder.ts'
import { openSharedStore, type SharedStore } from './shared-stores.ts'
import { openWatchedUpstream, type WatchedUpstream } from './watched-upstream.ts'

export type ChaosRun = {
  readonly plan: Plan
  readonly blows: readonly Blow[]
  readonly history: History
  readonly verdict: Verdict
  readonly figures: Figures
  /** What a node logged. */
  readonly logs: (node: number) => string
  /** How long the slowest node took to stop, in milliseconds. */
  readonly stopMs: number
}

const lifetimeSeconds = 60
/** A quarter of the life, more than a lease: what is left of a token whose refresh was lost outlives the lease. */
const overlapMs = (lifetimeSeconds * 1_000) / 4
const timeoutMs = 2_000
/** The margin that a node adds to the timeout for a lease. */
const leaseMs = timeoutMs + 7_000
/** So that two refreshes on schedule are further apart than a token overlaps with its successor. */
const refreshBeforeSeconds = 38
/** A life of 60 s less its margin of 2 s, and 38 s less or more a tenth. */
const dueAgeMs = 58_000 - 0.9 * refreshBeforeSeconds * 1_000
const dueAgeMsMin = 58_000 - 1.1 * refreshBeforeSeconds * 1_000
/** The usual half a minute, but never more than a quarter of the life. */
const minIntervalMs = (lifetimeSeconds * 1_000) / 4
/** After the last blow, everything is given the time to come to rest. */
const restMs = leaseMs + 4_000

const classics = 6

/** This node has two workers. */
const nodeOfWorkers = 2

export type ChaosOptions = {
  readonly plan: Plan
  /** Told of each blow as it falls. */
  readonly onBlow?: (blow: Blow) => void
  /** Ends the run early. */
  readonly signal?: AbortSignal
}

export async function runChaos({ plan, onBlow, signal }: ChaosOptions): Promise<ChaosRun> {
  const blows = drawBlows(plan)
  const recorder = new Recorder()
  const closing: (() => Promise<unknown>)[] = []
  signal?.addEventListener('abort', () => recorder.close())
  try {
    const stage = await openStage()
    closing.push(async () => await stage.close())
    const store = await openSharedStore(plan.store, plan.nodes)
    closing.push(async () => await store.dispose())
    let house: House | null = null
    const upstream = await openWatchedUpstream({
      recorder,
      chance: new Chance(plan.seed, 1_000),
      sourceOf: (account) => account,
      pids: () => house?.pids() ?? [],
    })
    closing.push(async () => await upstream.close())
    const { definitions, facts } = sourcesAt(upstream)
    const common = { encryption_key: randomBytes(32).toString('hex'), sources: definitions }
    const config = await stage.configure({ ...common, server: { listen: '127.0.0.1:0' } })
    // A port that the system chose is lost with the last worker that listens there.
    const [port = 0] = await freePorts(1)
    const server = { workers: 2, listen: `127.0.0.1:${port}` }
    const several = await stage.configure({ ...common, server }, 'several.yaml')
    const configFor = (node: number): string => (node === nodeOfWorkers ? several : config)
    const opened = openHouse({ stage, recorder, nodes: plan.nodes, configFor, urlFor: store.urlFor })
    house = opened
    closing.push(async () => await opened.dispose())
    await Promise.all(Array.from({ length: plan.nodes }, (_, node) => opened.start(node)))
    const load = startLoad({
      house,
      recorder,
      nodes: plan.nodes,
      sources: Object.keys(facts),
      reported: ['classic0', 'classic1', 'oauth', 'stable'],
      wished: ['classic0', 'oauth', 'stable'],
      accepts: (token) => upstream.simulator.accepts(token),
      pauseMs: plan.isShort ? 30 : 40,
    })
    await strikeAll({ plan, blows, recorder, house, store, upstream, ...(onBlow === undefined ? {} : { onBlow }) })
    await load.settle()
    await recorder.pause(restMs)
    const history = recorder.history(plan.nodes, facts, newsMs)
    await load.stop()
    const running = house
    const stopMs = await running.stop()
    const verdict = checkHistory(history)
    return { plan, blows, history, verdict, figures: figuresOf(history), logs: running.logs, stopMs }
  } finally {
    recorder.close()
    for (const close of closing.reverse()) await close()
  }
}

/** Within this, changes reach every node: by push at once, by looking (MySQL) twice a second. */
const newsMs = 1_000

type Sources = {
  readonly definitions: Readonly<Record<string, Definition>>
  readonly facts: Readonly<Record<string, SourceFacts>>
}

/** Account and source have one name. */
function sourcesAt(upstream: WatchedUpstream): Sources {
  const definitions: Record<string, Definition> = {}
  const facts: Record<string, SourceFacts> = {}
  const policy = { timeout: `${timeoutMs / 1_000}s`, refresh_before: `${refreshBeforeSeconds}s` }
  const knobs = { ttlSeconds: lifetimeSeconds, classicPerDay: 1_000_000 }
  const common = { lifetimeMs: lifetimeSeconds * 1_000, leaseMs, minIntervalMs }
  const secret = 'account-secret'
  for (let index = 0; index < classics; index += 1) {
    const id = `classic${index}`
    upstream.simulator.putAccount({ kind: 'wechat', id, secret, knobs })
    definitions[id] = { provider: 'wechat', mode: 'classic', appid: id, secret, base_url: upstream.url, ...policy }
    facts[id] = { ...common, overlapMs, dueAgeMs, dueAgeMsMin }
  }
  upstream.simulator.putAccount({ kind: 'wechat', id: 'stable', secret, knobs })
  definitions.stable = { provider: 'wechat', appid: 'stable', secret, base_url: upstream.url, timeout: policy.timeout }
  facts.stable = { ...common, overlapMs, dueAgeMs: null, dueAgeMsMin: null }
  upstream.simulator.putAccount({ kind: 'oauth2', id: 'oauth', secret, knobs })
  const token_url = `${upstream.url}/oauth2/token`
  definitions.oauth = { provider: 'oauth2', token_url, client_id: 'oauth', client_secret: secret, ...policy }
  facts.oauth = { ...common, overlapMs: null, dueAgeMs, dueAgeMsMin }
  return { definitions, facts }
}

type Strike = {
  readonly plan: Plan
  readonly blows: readonly Blow[]
  readonly recorder: Recorder
  readonly house: House
  readonly store: SharedStore
  readonly upstream: WatchedUpstream
  readonly onBlow?: (blow: Blow) => void
}

async function strikeAll(strike: Strike): Promise<void> {
  const { blows, recorder, onBlow } = strike
  const begunAt = recorder.now()
  const under: Promise<void>[] = []
  for (const blow of blows) {
    await recorder.pause(Math.max(0, begunAt + blow.at - recorder.now()))
    if (recorder.isClosed) break
    const what = blow.kind === 'cut' ? `${blow.cut} at node ${blow.node}` : describeBlow(blow)
    recorder.add({ type: 'blow', kind: blow.kind, text: `${what} for ${blow.forMs} ms` })
    onBlow?.(blow)
    const struck = strikeOnce(strike, blow)
    // One that fails is heard of below, when the others are over.
    struck.catch(() => undefined)
    under.push(struck)
  }
  await Promise.all(under)
}

function describeBlow({ kind, node }: Blow): string {
  if (kind.startsWith('worker')) return `a worker of node ${nodeOfWorkers}`
  return kind === 'kill' || kind === 'freeze' ? `node ${node}` : 'the store'
}

async function strikeOnce({ plan, recorder, house, store, upstream }: Strike, blow: Blow): Promise<void> {
  const pause = async (ms: number): Promise<void> => await recorder.pause(ms)
  switch (blow.kind) {
    case 'kill': {
      const node = await inTheMiddle(upstream, house, blow)
      await house.kill(node)
      await pause(blow.forMs)
      await house.start(node)
      return
    }
    case 'freeze': {
      const node = await inTheMiddle(upstream, house, blow)
      house.freeze(node)
      await pause(blow.forMs)
      house.wake(node)
      return
    }
    case 'cut':
    case 'restart':
    case 'outage':
    case 'failover': {
      const isOfOne = blow.kind === 'cut' && plan.store !== 'sentinel'
      const nodes = isOfOne ? [blow.node] : Array.from({ length: plan.nodes }, (_, node) => node)
      const mayWork = plan.store === 'sentinel' || blow.kind === 'failover' ? { mayWork: true as const } : {}
      let tookWrites = true
      const tell = (takesWrites: boolean): void => {
        if (takesWrites === tookWrites) return
        tookWrites = takesWrites
        recorder.add(
          takesWrites ? { type: 'store', what: 'back', nodes } : { type: 'store', what: 'away', nodes, ...mayWork },
        )
      }
      tell(false)
      await store.strike(blow, { pause, tell })
      tell(true)
      return
    }
    case 'worker-kill':
      house.strikeWorker(nodeOfWorkers, 'SIGKILL')
      return
    case 'worker-freeze': {
      const pid = house.strikeWorker(nodeOfWorkers, 'SIGSTOP')
      const endsAt = recorder.now() + blow.forMs
      while (pid !== null && recorder.now() < endsAt && !recorder.isClosed) {
        if (!house.hasWorker(nodeOfWorkers, pid)) return
        await pause(100)
      }
      if (pid !== null) house.wakeWorker(nodeOfWorkers, pid)
    }
  }
}

/** Waits for the next refresh and strikes the node that has it in hand, if that can be told; otherwise the one drawn. */
async function inTheMiddle(upstream: WatchedUpstream, house: House, { node }: Blow): Promise<number> {
  const flight = await upstream.nextFlight(4_000)
  const struck = flight?.node ?? node
  return house.live(struck) === null ? node : struck
}
