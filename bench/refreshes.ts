/**
 * Claim: one node keeps very many sources fresh. Refreshes per second of one node, on one core, against a local upstream
 * on another one that gives a new token at once; and the processor time that one refresh takes. A refresh here is whole:
 * the lease is durable before the upstream is asked, and the token before anybody is told of it.
 *
 * Two situations, each over SQLite (as durable as the disk behind TMPDIR) and in memory: all sources are due at once, and
 * they come due one after the other, 280 in each second, which is what a million two-hour tokens need.
 *
 * Options: --sources N (20000), --seconds N of the paced part (20), --store sqlite|memory (both), --rounds N (3),
 * --profile (tells what the time is spent on, and costs some percent itself).
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cores, startProgram } from './child.ts'
import { median, spread, table } from './figures.ts'
import type { Measure } from './main.ts'
import type { Share } from './profile.ts'
import { describeQuiet, quietRounds } from './quiet.ts'
import type { Refreshed, Work } from './refresh-node.ts'
import { scratchFolder } from './scratch.ts'
import type { UpstreamState } from './upstream.ts'

type Situation = { readonly store: 'sqlite' | 'memory'; readonly perSecond: number | null }

const millionPerSecond = 280

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sources: { type: 'string', default: '20000' },
      seconds: { type: 'string', default: '20' },
      store: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      profile: { type: 'boolean', default: false },
    },
  })
  const stores = (['sqlite', 'memory'] as const).filter((store) => values.store === undefined || values.store === store)
  const situations: Situation[] = stores.flatMap((store) => [
    { store, perSecond: null },
    { store, perSecond: millionPerSecond },
  ])
  const results = []
  for (const situation of situations) {
    const count =
      situation.perSecond === null ? Number(values.sources) : Math.ceil(Number(values.seconds) * situation.perSecond)
    const quiet = await quietRounds(Number(values.rounds), async () => {
      const result = await measureOnce(situation, count, values.profile)
      return { result, waitedShare: result.waitedShare }
    })
    results.push({ ...situation, count, ...quiet, waited: describeQuiet(quiet) })
  }
  const rows = results.map(({ store, perSecond, count, rounds, waited }) => {
    const of = (read: (one: Refreshed) => number): number => median(rounds.map(read))
    return [
      `${store}, ${perSecond === null ? 'all due at once' : `${perSecond} due in each second`}`,
      count,
      of((one) => one.perSecond).toFixed(0),
      spread(
        rounds.map((one) => one.perSecond),
        0,
      ),
      `${(of((one) => one.cpuShare) * 100).toFixed(1)} %`,
      of((one) => one.cpuMicrosEach).toFixed(0),
      of((one) => one.wholeSeconds).toFixed(1),
      perSecond === null
        ? ''
        : `${of((one) => one.lateMs?.p50 ?? NaN).toFixed(0)}, ${of((one) => one.lateMs?.p99 ?? NaN).toFixed(0)}`,
      Math.max(...rounds.map((one) => one.failures)),
      waited,
    ]
  })
  const head = [
    'store',
    'sources',
    'refreshes/s',
    '(rounds)',
    'of a core',
    'CPU µs each',
    'whole s',
    'late ms p50, p99',
    'failed',
    'waited, rounds',
  ]
  const spent = results
    .filter(({ perSecond }) => perSecond === null)
    .map(({ store, rounds }) => spentTable(store, rounds))
  return { tables: [{ title: 'Refreshes of one node', text: table(head, rows) }, ...spent.flat()], numbers: results }
}

/** Both processes are new for each round: no pool, no compiled code and no cache of the round before. */
async function measureOnce({ store, perSecond }: Situation, count: number, withProfile: boolean): Promise<Refreshed> {
  const upstream = startProgram('upstream', ['7200'], { core: cores.around })
  const node = startProgram('refresh-node', [], { core: cores.measured })
  const { url } = await upstream.ask<UpstreamState>({})
  const at = store === 'sqlite' ? `sqlite:${join(scratchFolder(), 'zhongkong.db')}` : 'memory:'
  const work: Work = { store: at, count, upstream: url, perSecond, withProfile }
  const refreshed = await node.ask<Refreshed>(work)
  const { issued } = await upstream.ask<UpstreamState>({})
  if (issued !== count) throw new Error(`${count} refreshes took ${issued} calls of the upstream`)
  await Promise.all([node.stop(), upstream.stop()])
  return refreshed
}

function spentTable(store: string, rounds: readonly Refreshed[]) {
  const shares: readonly Share[] = rounds.at(-1)?.spentOn ?? []
  if (shares.length === 0) return []
  const rows = shares.slice(0, 15).map(({ part, share }) => [part, `${(share * 100).toFixed(1)} %`])
  return [
    { title: `What the processor time is spent on (${store}, all due at once)`, text: table(['part', 'share'], rows) },
  ]
}
