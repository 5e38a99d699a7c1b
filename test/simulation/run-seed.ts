/** Runs one seed from the first start to rest, and says what happened. */
import { callOften, guess, readOnNews } from './callers.ts'
import type { Violation } from './checks.ts'
import type { Coverage } from './coverage.ts'
import { addDynamic, makeWeather } from './weather.ts'
import { World, type RunOptions } from './world.ts'

export type RunResult = {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly coverage: Coverage
  /** Virtual hours times nodes. */
  readonly nodeHours: number
  readonly events: number
  readonly reads: number
  readonly issues: number
  readonly lateIssues: number
  readonly refusedReads: number
  /** A digest of the whole history: the same seed gives the same. */
  readonly history: number
}

const minuteMs = 60_000
/** Calm at the end of a run, so that everything that was in the air comes to rest. */
const calmMs = 20 * minuteMs
const watched = ['classic', 'stable', 'wecom', 'ticket', 'http', 'oauth', 'dynamic'] as const

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const world = new World(options)
  const { time } = world
  for (const name of watched) world.checks.watch(name)
  world.checks.hinder(time.now() + 2 * minuteMs)
  for (const node of world.nodes) time.after(world.chance.between(0, 3_000), () => void node.start())
  time.after(10_000, () => void addDynamic(world))
  for (const node of world.nodes) {
    guess(world, node)
    for (const name of watched) callOften(world, node, name)
  }
  world.onRotated = (node, name) => readOnNews(world, node, name)
  makeWeather(world)
  const look = (): void => {
    world.checks.liveness(watched)
    if (time.now() < world.endsAt) time.after(minuteMs, look)
  }
  time.after(minuteMs, look)
  await runTo(world, world.endsAt - calmMs)
  world.calm()
  await runTo(world, world.endsAt)
  world.checks.books()
  const { checks, coverage } = world
  return {
    seed: options.seed,
    violations: checks.violations,
    coverage,
    nodeHours: options.hours * options.nodes,
    events: time.events,
    reads: checks.reads,
    issues: checks.issuesTotal,
    lateIssues: checks.lateIssues,
    refusedReads: checks.refusedReads,
    history: (time.events * 31 + checks.reads) * 31 + checks.issuesTotal,
  }
}

/** Lets time pass; where the first violation is enough, not long after that. */
async function runTo({ time, checks, options }: World, end: number): Promise<void> {
  if (options.isFailFast !== true) await time.runUntil(end)
  while (time.now() < end && checks.violations.length === 0) await time.runUntil(Math.min(end, time.now() + minuteMs))
}
