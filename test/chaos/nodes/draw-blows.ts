/** The blows of a run, drawn from its seed: the same seed has the same blows at the same instants. */
import { Chance } from '../../simulation/chance.ts'

export const storeKinds = ['redis', 'sentinel', 'postgres', 'mysql'] as const
export type StoreKind = (typeof storeKinds)[number]

/**
 * `kill`: kill -9 in the middle of a refresh, and a new process. `freeze`: SIGSTOP for a while. `cut`: one node's
 * connections to the store are reset, refused or silent. `restart`: the store is killed and started at once. `outage`: it
 * is away for a while. `failover`: Redis: the master is cut off from its sentinels and replicas, though the nodes still
 * reach it; PostgreSQL: the primary is killed or hangs, and its standby is promoted. `worker-kill`, `worker-freeze`: kill
 * -9 and SIGSTOP of one worker of the node that has several.
 */
export const blowKinds = [
  'kill',
  'freeze',
  'cut',
  'restart',
  'outage',
  'failover',
  'worker-kill',
  'worker-freeze',
] as const
export type BlowKind = (typeof blowKinds)[number]

export type Blow = {
  readonly at: number
  readonly kind: BlowKind
  /** The node that is struck, where it is one. */
  readonly node: number
  /** How long it lasts, in milliseconds. */
  readonly forMs: number
  readonly cut: 'reset' | 'refuse' | 'silence'
}

export type Plan = {
  readonly seed: number
  readonly store: StoreKind
  readonly nodes: number
  /** Each kind of blow once, shortened, and the run ends; otherwise blows at full length for `forMs`. */
  readonly isShort: boolean
  /** How long a long run lasts. */
  readonly forMs: number
}

/** All nodes have a token of each source, and know it. */
const warmUpMs = 2_000

const lengths: Readonly<Record<BlowKind, { readonly short: readonly number[]; readonly long: readonly number[] }>> = {
  kill: { short: [300, 600], long: [200, 5_000] },
  // Longer than a lease of nine seconds.
  freeze: { short: [10_000, 10_500], long: [15_000, 20_000] },
  // Up to a silence that a node must notice, which is 45 seconds, and more.
  cut: { short: [3_000, 4_000], long: [2_000, 60_000] },
  restart: { short: [200, 400], long: [100, 1_000] },
  outage: { short: [3_000, 4_000], long: [30_000, 60_000] },
  failover: { short: [3_000, 4_000], long: [5_000, 15_000] },
  'worker-kill': { short: [0, 0], long: [0, 0] },
  // The long ones are for the supervisor to end, which it does after half a minute.
  'worker-freeze': { short: [10_000, 10_500], long: [12_000, 50_000] },
}

export function drawBlows(plan: Plan): readonly Blow[] {
  const chance = new Chance(plan.seed, storeKinds.indexOf(plan.store))
  const kinds = blowKinds.filter((kind) => suits(kind, plan))
  const blows: Blow[] = []
  let at = warmUpMs
  for (let bag: BlowKind[] = []; ;) {
    if (bag.length === 0) {
      if (plan.isShort && blows.length > 0) return blows
      bag = shuffled(kinds, chance)
    }
    const kind = bag.pop()
    if (kind === undefined) return blows
    const [low = 0, high = 0] = lengths[kind][plan.isShort ? 'short' : 'long']
    const forMs = Math.round(chance.between(low, high))
    const blow = {
      at: Math.round(at),
      kind,
      node: Math.floor(chance.next() * plan.nodes),
      forMs,
      cut: chance.pick(cuts),
    }
    const calmMs = chance.between(1_500, plan.isShort ? 2_500 : 12_000)
    // A node with a frozen worker goes on, and so do the blows. Now and then the next one falls while a process is frozen
    // or on its way back.
    const isPatient = kind !== 'worker-freeze' && (plan.isShort || !['kill', 'freeze'].includes(kind) || chance.is(0.7))
    at += (isPatient ? forMs : forMs / 5) + calmMs
    if (!plan.isShort && at > plan.forMs) return blows
    blows.push(blow)
  }
}

const cuts = ['reset', 'refuse', 'silence'] as const

/**
 * Sentinels make an outage of the one server a failover, and a short run has one of the two. MySQL has none
 * here: it would take a pair with semi-synchronous replication.
 */
function suits(kind: BlowKind, { store, isShort }: Plan): boolean {
  if (kind === 'outage') return store !== 'sentinel' && !(store === 'postgres' && isShort)
  return kind !== 'failover' || store === 'sentinel' || store === 'postgres'
}

function shuffled<T>(items: readonly T[], chance: Chance): T[] {
  return items
    .map((item) => ({ item, place: chance.next() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item)
}
