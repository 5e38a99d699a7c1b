/**
 * A node of the keeper as a process of its own, over a store whose sources are all due. It answers its parent with what
 * refreshing them took.
 */
import { realEnv } from '../src/base/real-env.ts'
import { openKeeper } from '../src/keeper/open-keeper.ts'
import { issue, parseSource } from '../src/providers/catalogue.ts'
import { openStore } from '../src/stores/open-store.ts'
import { answerParent } from './child.ts'
import { fillStore, nameOf } from './filled-store.ts'
import { median } from './figures.ts'
import { startProfile, type Share } from './profile.ts'
import { waitedMs } from './quiet.ts'

export type Work = {
  readonly store: string
  readonly count: number
  readonly upstream: string
  /** Sources due in each second; null: all at once. */
  readonly perSecond: number | null
  readonly withProfile: boolean
}

export type Refreshed = {
  readonly rotations: number
  readonly failures: number
  /** In the middle of the work: after the first tenth, before the last. */
  readonly perSecond: number
  readonly cpuShare: number
  /** In which this process was ready to run while something else had its core. */
  readonly waitedShare: number
  readonly cpuMicrosEach: number
  /** From opening the keeper to the last rotation. */
  readonly wholeSeconds: number
  /** How long after its instant a source had its new token, for sources that come due one after the other. */
  readonly lateMs: { readonly p50: number; readonly p99: number } | null
  readonly spentOn: readonly Share[]
}

/** Before the first source comes due, when they come one after the other: the node has come to rest by then. */
const leadMs = 3_000

type Mark = { readonly at: number; readonly cpuMicros: number; readonly waitedMs: number; readonly rotations: number }

async function run(work: Work): Promise<Refreshed> {
  const { count, perSecond } = work
  const env = realEnv()
  const store = await openStore({ url: work.store, encryptionKey: null, env })
  const dueInMs = (index: number): number => (perSecond === null ? -1_000 : leadMs + (index * 1_000) / perSecond)
  const filledAt = Date.now()
  await fillStore(store, { count, upstream: work.upstream, place: 'store', dueInMs })
  const names = new Map(Array.from({ length: count }, (_, index) => [nameOf(index, 'store'), index]))
  const lateMs: number[] = []
  const marks: Mark[] = []
  let stopProfile = (): Promise<readonly Share[]> => Promise.resolve([])
  let rotations = 0
  let failures = 0
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const startedAt = performance.now()
  const mark = (): void => {
    marks.push({ at: performance.now(), cpuMicros: cpuMicros(), waitedMs: waitedMs(process.pid), rotations })
  }
  const keeper = await openKeeper({
    env,
    store,
    node: 'bench',
    sources: [],
    parseSource,
    issue,
    emit: (event) => {
      if (event.type === 'failing' || event.type === 'uncommitted') failures += 1
      if (event.type !== 'rotated') return
      rotations += 1
      lateMs.push(Date.now() - filledAt - dueInMs(names.get(event.name) ?? 0))
      if (rotations === Math.floor(count / 10)) {
        mark()
        if (work.withProfile) void startProfile().then((stop) => (stopProfile = stop))
      }
      if (rotations === Math.floor((count * 9) / 10)) mark()
      if (rotations === count) finish()
    },
    onFault: (thrown) => console.error(thrown),
  })
  await finished
  const wholeSeconds = (performance.now() - startedAt) / 1_000
  const spentOn = await stopProfile()
  await keeper.stop()
  await store.close()
  await env.close()
  const [first, last] = marks
  if (first === undefined || last === undefined) throw new Error('too few sources')
  const micros = (last.at - first.at) * 1_000
  const done = last.rotations - first.rotations
  const sorted = lateMs.toSorted((left, right) => left - right)
  return {
    rotations,
    failures,
    perSecond: (done / micros) * 1e6,
    waitedShare: ((last.waitedMs - first.waitedMs) * 1_000) / micros,
    cpuShare: (last.cpuMicros - first.cpuMicros) / micros,
    cpuMicrosEach: (last.cpuMicros - first.cpuMicros) / done,
    wholeSeconds,
    lateMs: perSecond === null ? null : { p50: median(sorted), p99: sorted[Math.floor(sorted.length * 0.99)] ?? NaN },
    spentOn,
  }
}

/** All threads of this process: syncing to disk happens on this one, reading files and TLS on others. */
function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

answerParent(run)
