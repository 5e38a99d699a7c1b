/** One server, killed again and again at random moments while programs read and refresh, and started again each time. */
import { setTimeout as after } from 'node:timers/promises'
import { ask } from './ask.ts'
import { startCallers, type Breach, type Counts } from './callers.ts'
import { eventually, type Served, type Stage, type Upstream } from './stage.ts'

export type KillRun = {
  readonly stage: Stage
  readonly upstream: Upstream
  /** The configuration file. */
  readonly path: string
  readonly kills: number
  /** No further kill after this time, in milliseconds. */
  readonly withinMs: number
  /** Sources and the simulator's accounts behind them. */
  readonly accounts: Readonly<Record<string, string>>
}

export type KillFigures = {
  readonly kills: number
  readonly counts: Counts
  /** The longest time for which a token was handed out that the upstream had killed, in milliseconds. */
  readonly deadMsMax: number
  readonly breaches: readonly Breach[]
  readonly failures: readonly string[]
  /** Milliseconds from each start to `/readyz` saying 200, shortest first. */
  readonly readyMs: readonly number[]
  /** The same for the first start, which followed on no kill. */
  readonly firstReadyMs: number
  readonly killedAtBoot: number
  /** Per source: issues that the upstream made and no version came of. */
  readonly lost: Readonly<Record<string, number>>
  /** The server that is left running. */
  readonly last: Served
}

/** Every so many starts, the process is killed before it can be ready. */
const bootKillEvery = 5
const loadMsMax = 1_200

export async function killAgainAndAgain(run: KillRun): Promise<KillFigures> {
  const { stage, upstream, path, accounts } = run
  const names = Object.keys(accounts)
  const endsAt = performance.now() + run.withinMs
  const callers = startCallers({ upstream, names, readers: 6, refreshed: names })
  const readyMs: number[] = []
  let killedAtBoot = 0
  const start = async (): Promise<Served> => {
    const startedAt = performance.now()
    const server = await stage.serve(path)
    await eventually('the server is ready', 15_000, async () => {
      const { status } = await ask(`${server.url}/readyz`)
      return status === 200 ? true : null
    })
    readyMs.push(performance.now() - startedAt)
    callers.turnTo(server.url)
    return server
  }
  let kills = 0
  for (; kills < run.kills && performance.now() < endsAt; kills += 1) {
    if (kills % bootKillEvery === bootKillEvery - 1) {
      const starting = stage.launch(path)
      await after(Math.random() * median(readyMs.toSorted(ascending)))
      await starting.stop('SIGKILL')
      killedAtBoot += 1
      continue
    }
    const server = await start()
    await after(Math.random() * loadMsMax)
    callers.turnTo(null)
    await server.stop('SIGKILL')
  }
  const last = await start()
  callers.askForNothingNew()
  // A dead node's leases end by themselves; then every source is looked after again.
  await eventually('every source is fresh again', 20_000, async () => {
    const { json } = await ask(`${last.url}/v1/sources`)
    const states = (json.sources as { state: string }[]).map(({ state }) => state)
    return states.every((state) => state === 'fresh') ? true : null
  })
  await callers.stop()
  return {
    kills,
    counts: callers.counts,
    deadMsMax: callers.ledger.deadMsMax,
    breaches: callers.ledger.breaches,
    failures: callers.failures,
    readyMs: readyMs.toSorted(ascending),
    firstReadyMs: readyMs[0] ?? 0,
    killedAtBoot,
    lost: await lostIssues(last, upstream, accounts),
    last,
  }
}

async function lostIssues(
  server: Served,
  upstream: Upstream,
  accounts: Readonly<Record<string, string>>,
): Promise<Record<string, number>> {
  const entries = Object.entries(accounts).map(async ([name, account]) => {
    const { json } = await ask(`${server.url}/v1/tokens/${name}`)
    const { token } = upstream.simulator.counters(account)
    return [name, token.issued - Number(json.version)] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

const ascending = (left: number, right: number): number => left - right

export function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
