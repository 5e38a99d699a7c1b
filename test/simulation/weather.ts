/** Faults that come at their own time: outages, pauses, foreign fetchers, stepped clocks, people with a database shell. */
import { refresh, report } from './callers.ts'
import type { FaultKind } from './faults.ts'
import type { SimulatedNode } from './node.ts'
import { definitions, dynamicDefinition, sourcesOf, type World } from './world.ts'

const hourMs = 3_600_000
const channels = { classic: 'wxclassic', stable: 'wxstable', wecom: 'wwcorp' } as const

/** Lets every timed fault of the plan come at random, about as often a day as its rate says. */
export function makeWeather(world: World): void {
  for (const [kind, strike] of Object.entries(strikes) as [FaultKind, (world: World) => void][]) {
    const perDay = world.plan.rate[kind]
    if (perDay > 0) comeAndGo(world, kind, (24 * hourMs) / perDay, strike)
  }
}

function comeAndGo(world: World, kind: FaultKind, meanMs: number, strike: (world: World) => void): void {
  world.time.after(world.chance.soon(meanMs), () => {
    if (world.time.now() >= world.endsAt || world.checks.isQuiet) return
    world.coverage.strike(kind)
    world.trace(() => `fault: ${kind}`)
    strike(world)
    comeAndGo(world, kind, meanMs, strike)
  })
}

function alive(world: World): SimulatedNode | null {
  const nodes = world.nodes.filter((node) => node.keeper !== null)
  return nodes.length === 0 ? null : world.chance.pick(nodes)
}

/** Something that lasts: begins now, ends later, and holds everything up meanwhile. */
function last(world: World, ms: number, set: (isOn: boolean) => void): void {
  set(true)
  world.checks.hinder(world.time.now() + ms)
  world.time.after(ms, () => set(false))
}

const strikes: Partial<Record<FaultKind, (world: World) => void>> = {
  pause: (world) => {
    const ms = world.chance.pick([world.chance.between(500, 5_000), world.chance.between(5_000, 300_000)])
    world.checks.hinder(world.time.now() + ms)
    world.chance.pick(world.nodes).pause(ms)
  },
  'upstream-outage': (world) =>
    last(world, world.chance.between(1_000, hourMs), (isOn) => {
      world.network.isOut = isOn
    }),
  'node-offline': (world) => {
    const node = world.chance.pick(world.nodes)
    last(world, world.chance.between(1_000, hourMs / 2), (isOn) => {
      node.isOffline = isOn
    })
  },
  'store-outage': (world) =>
    last(world, world.chance.between(500, hourMs / 4), (isOn) => {
      world.store.setDown(isOn)
    }),
  partition: (world) => {
    const node = world.chance.pick(world.nodes)
    last(world, world.chance.between(500, hourMs / 2), (isOn) => {
      node.isPartitioned = isOn
    })
  },
  revoked: (world) => {
    const name = world.chance.pick(Object.keys(channels) as (keyof typeof channels)[])
    const token = world.store.entry(name)?.token?.value
    if (token === undefined) return
    world.simulator.revoke({ token })
    world.checks.disturb(name)
  },
  'foreign-refresh': (world) => {
    world.simulator.rotateByForeigner('wxclassic', 'classic')
    world.checks.disturb('classic')
  },
  'clock-jump': (world) => {
    const node = world.chance.pick(world.nodes)
    node.wallOffset += world.chance.pick([-1, 1]) * world.chance.pick([2_000, hourMs, 24 * hourMs, 3_650 * 24 * hourMs])
  },
  'clock-drift': (world) => {
    world.chance.pick(world.nodes).setRate(world.chance.between(0.99, 1.01))
  },
  'asked-refresh': (world) => {
    const node = alive(world)
    if (node !== null) void refresh(world, node, world.chance.pick(['classic', 'stable', 'wecom', 'ticket']), {})
  },
  'false-report': (world) => {
    const node = alive(world)
    const name = world.chance.pick(['classic', 'stable', 'wecom', 'ticket', 'http'])
    const token = world.store.entry(name)?.token?.value ?? 'never-issued'
    if (node !== null) void report(world, node, name, world.chance.is(0.3) ? 'never-issued' : token)
  },
  'report-flood': (world) => flood(world),
  reload: (world) => {
    const sources = sourcesOf(definitions(world.chance.pick([6, 8, 10])))
    world.sources = sources
    for (const node of world.nodes) {
      // Nodes are reloaded one after another; a node that is started meanwhile reads the new file.
      node.notify(world.time.now() + world.chance.between(10, 30_000), () => void node.keeper?.replaceSources(sources))
    }
  },
  'row-deleted': (world) => {
    // Deleting the row of a source that only the store knows is removing it; a source of the configuration comes back.
    const { name } = world.chance.pick(world.sources)
    world.store.deleteRow(name)
    world.checks.watch(name).rowDeletedAt = world.time.now()
    world.checks.disturb(name)
    world.checks.hinder(world.time.now() + 600_000, name)
    if (!world.nodes.some((node) => node.keeper?.peek(name) !== undefined)) world.checks.forgetVersions(name)
    world.checks.forgetVersions(name)
  },
  'source-removed': (world) => void removeAndAdd(world),
}

/** Many programs report one token at once, on several nodes: at most one issue comes of it. */
function flood(world: World): void {
  const name = world.chance.pick(['classic', 'wecom', 'stable'] as const)
  const token = world.store.entry(name)?.token?.value
  if (token === undefined) return
  const before = world.checks.watch(name).issues.length
  const inFlight = [...world.network.flights].filter((flight) => flight.channel === name).length
  for (let count = 0; count < 40; count += 1) {
    const node = alive(world)
    if (node !== null) world.time.after(world.chance.between(0, 500), () => void report(world, node, name, token))
  }
  world.time.after(900, () => {
    const issues = world.checks.watch(name).issues.length - before
    if (issues > 1 + inFlight) world.checks.fail('I9', `${name}: ${issues} issues for one reported token`)
  })
}

/** The source that is added while running goes away, and comes back later. */
async function removeAndAdd(world: World): Promise<void> {
  const keeper = alive(world)?.keeper
  if (keeper == null) return
  const watch = world.checks.watch('dynamic')
  world.checks.hinder(world.time.now() + hourMs + 120_000, 'dynamic')
  // The node may die while it removes; somebody adds the source again all the same.
  world.time.after(world.chance.between(60_000, hourMs), () => void addDynamic(world))
  await keeper.remove('dynamic').catch(() => false)
  if (world.store.entry('dynamic') === null) watch.removedAt = world.time.now()
}

/** Adds the source that no configuration file names; tries again until a node takes it. */
export async function addDynamic(world: World): Promise<void> {
  const keeper = alive(world)?.keeper
  world.checks.watch('dynamic').removedAt = null
  world.checks.forgetVersions('dynamic')
  world.time.after(30_000, () => {
    if (world.store.entry('dynamic') !== null || world.time.now() >= world.endsAt) return
    world.checks.hinder(world.time.now() + 120_000, 'dynamic')
    void addDynamic(world)
  })
  // Without a store at the moment, or from a node that dies meanwhile, it is tried again.
  await keeper?.put('dynamic', dynamicDefinition).catch(() => undefined)
}
