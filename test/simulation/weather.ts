/** Faults that come at their own time: outages, pauses, foreign fetchers, stepped clocks, people with a database shell. */
import { look, readAndUse, refresh, report } from './callers.ts'
import type { FaultKind } from './faults.ts'
import type { SimulatedNode } from './node.ts'
import { droppable, dynamicDefinition, type World } from './world.ts'

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
    world.checks.fates.killed(token, world.time.now())
    world.checks.disturb(name)
  },
  'foreign-refresh': (world) => {
    const value = world.simulator.rotateByForeigner('wxclassic', 'classic')
    world.checks.fates.issued('classic', value, { at: world.time.now(), by: 'stranger', asker: null })
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
  'wish-flood': (world) => wish(world),
  'status-watch': (world) => watchStatus(world),
  reload: (world) => void reload(world, world.chance.pick([6, 8, 10])),
  'source-dropped': (world) => dropAndRestore(world),
  'row-deleted': (world) => {
    // Deleting the row of a source that only the store knows is removing it; a source of the configuration comes back.
    const { name } = world.chance.pick(world.sources)
    world.store.deleteRow(name)
    world.checks.watch(name).rowDeletedAt = world.time.now()
    world.checks.disturb(name)
    world.checks.hinder(world.time.now() + 600_000, name)
  },
  'source-removed': (world) => void removeAndAdd(world),
}

/** Many programs report one token at once, on several nodes: at most one issue comes of it. */
function flood(world: World): void {
  const name = world.chance.pick(['classic', 'wecom', 'stable'] as const)
  const token = world.store.entry(name)?.token?.value
  if (token === undefined) return
  const watch = world.checks.watch(name)
  const before = watch.issues.length
  const floodedAt = world.time.now()
  const inFlight = [...world.network.flights].filter((flight) => flight.channel === name).length
  // Half of them are right, or else the platform would be asked, and there would be nothing to refresh.
  if (world.chance.is(0.5)) {
    world.simulator.revoke({ token })
    world.checks.fates.killed(token, world.time.now())
    world.checks.disturb(name)
  }
  for (let count = 0; count < 40; count += 1) {
    const node = alive(world)
    if (node !== null) world.time.after(world.chance.between(0, 500), () => void report(world, node, name, token))
  }
  world.time.after(900, () => {
    const issues = watch.issues.length - before
    // An issue whose answer never came is followed by another one.
    if ([...watch.unknownAt.values()].some((at) => at >= floodedAt)) return
    // A failover that loses the news of the first one, too.
    if (watch.hasLost(floodedAt)) return
    // Only new tokens count: stable mode is asked twice, plainly, and by force once that has repeated the token.
    if (issues > 1 + inFlight) world.checks.fail('I9', `${name}: ${issues} issues for one reported token`)
  })
}

const wishMs = 600_000

/** A program asks every few seconds, of any node, for a token with ten minutes left: few issues come of it. */
function wish(world: World): void {
  const name = world.chance.pick(['classic', 'dynamic', 'http'] as const)
  const watch = world.checks.watch(name)
  const [issues, strikes] = [watch.issues.length, watch.strikes]
  for (let ms = 0; ms < wishMs; ms += 5_000) {
    world.time.after(ms, () => {
      const node = alive(world)
      if (node === null) return
      void readAndUse(world, node, name, wishMs / 1_000).catch((error: unknown) => world.checks.fault(error))
    })
  }
  world.time.after(wishMs, () => {
    const caused = watch.issues.length - issues
    // One when it is asked for, one on schedule, one by a report; and two to recover from each fault.
    const most = 4 + 2 * (watch.strikes - strikes)
    if (caused > most) world.checks.fail('I8', `${name}: ${caused} issues in ten minutes for one who wants more time`)
  })
}

/** Somebody keeps a status page open for half an hour, and it looks every second or so. */
function watchStatus(world: World): void {
  const node = world.chance.pick(world.nodes)
  const name = world.chance.pick(['classic', 'stable', 'wecom', 'ticket', 'http'] as const)
  const endsAt = Math.min(world.time.now() + hourMs / 2, world.endsAt)
  const again = (): void => {
    if (world.time.now() >= endsAt) return
    void look(world, node, name).catch((error: unknown) => world.checks.fault(error))
    world.time.after(world.chance.between(500, 2_500), again)
  }
  again()
}

/** Nodes are reloaded one after another, the last one by the answer, and each reads the file as it is then. */
function reload(world: World, timeout: number): number {
  world.readFile(timeout)
  const delays = world.nodes.map(() => world.chance.between(10, 30_000))
  for (const [index, node] of world.nodes.entries()) {
    node.notify(world.time.now() + delays[index]!, () => void node.keeper?.replaceSources(world.sources))
  }
  return world.time.now() + Math.max(...delays)
}

/** The configuration file loses a source for a while. */
function dropAndRestore(world: World): void {
  if (world.isDropped) return
  const watch = world.checks.watch(droppable)
  const awayMs = world.chance.between(120_000, hourMs)
  world.checks.hinder(world.time.now() + awayMs + 600_000, droppable)
  world.isDropped = true
  watch.droppedAt = reload(world, 8)
  world.time.after(awayMs, () => {
    world.isDropped = false
    watch.droppedAt = null
    reload(world, 8)
  })
}

/** The source that is added while running goes away, at rest or in the middle of a refresh, and comes back later. */
async function removeAndAdd(world: World): Promise<void> {
  const node = alive(world)
  const keeper = node?.keeper
  if (node === null || keeper == null) return
  const watch = world.checks.watch('dynamic')
  world.checks.hinder(world.time.now() + hourMs + 120_000, 'dynamic')
  // The node may die while it removes; somebody adds the source again all the same.
  world.time.after(world.chance.between(60_000, hourMs), () => void addDynamic(world))
  if (world.chance.is(0.7)) {
    void refresh(world, node, 'dynamic', {})
    await world.time.wait(world.chance.between(1, 150))
  }
  await keeper.remove('dynamic').catch(() => false)
  if (world.store.entry('dynamic') === null) watch.removedAt = world.time.now()
}

/** Adds the source that no configuration file names; tries again until a node takes it. */
export async function addDynamic(world: World): Promise<void> {
  const node = alive(world)
  const watch = world.checks.watch('dynamic')
  watch.removedAt = null
  if (world.store.entry('dynamic') === null) watch.bornAt = world.time.now()
  world.checks.forgetVersions('dynamic')
  world.time.after(30_000, () => {
    if (world.store.entry('dynamic') !== null || world.time.now() >= world.endsAt) return
    world.checks.hinder(world.time.now() + 120_000, 'dynamic')
    void addDynamic(world)
  })
  // Without a store at the moment, or from a node that dies meanwhile, it is tried again.
  if (node === null) return
  const put = { node, process: node.process }
  watch.puts.add(put)
  await node.keeper?.put('dynamic', dynamicDefinition).catch(() => undefined)
  watch.puts.delete(put)
}
