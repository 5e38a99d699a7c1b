/** Programs behind zhongkong: they read tokens, use them, keep them as long as they were told, and report refusals. */
import type { SimulatedNode } from './node.ts'
import type { Served } from './checks.ts'
import type { World } from './world.ts'
import type { TokenAnswer } from '../../src/wire/v1.ts'

const origin = 'http://127.0.0.1:8888'
const peer = { address: '127.0.0.1', isLoopback: true }
/** Mean time between two reads of one program, in milliseconds. */
const readMs = 480_000

/** Sets a program going that reads one source from one node until the run ends. */
export function callOften(world: World, node: SimulatedNode, name: string): void {
  const again = (): void => {
    world.time.after(world.chance.soon(readMs), () => {
      void readAndUse(world, node, name).catch((error: unknown) => world.checks.fault(error))
      if (world.time.now() < world.endsAt) again()
    })
  }
  again()
}

async function readAndUse(world: World, node: SimulatedNode, name: string): Promise<void> {
  const served = await read(world, node, name)
  if (served === null) return
  world.checks.served(node, served)
  const readAt = world.time.now()
  if (!world.simulator.accepts(served.token)) {
    if (!world.hasReporters) return
    world.time.after(world.chance.between(50, 2_000), () => void report(world, node, name, served.token))
    return
  }
  if (served.expiresIn < 2) return
  // Some time before the promise ends, and in its very last second.
  // A node that has not heard of a replacement yet cannot know what its promise is worth.
  if (world.store.entry(name)?.version !== served.version) return
  for (const part of [world.chance.next(), 1]) {
    // Node and store clocks agree within a second or so; one that runs slow by a hundredth promises so much more.
    const share = world.plan.rate['clock-drift'] > 0 ? 0.97 : 1
    const at = readAt + part * (share * served.expiresIn * 1_000 - 2_500)
    world.time.at(at, () => world.checks.promised(served, readAt))
  }
}

/** Reads a token over HTTP; null when there is none. */
async function read(world: World, node: SimulatedNode, name: string): Promise<Served | null> {
  if (node.handler === null || node.isPaused) return null
  const response = await node.handler(new Request(`${origin}/v1/tokens/${name}`), peer)
  const text = await response.text()
  if (response.status !== 200) {
    world.checks.refusedRead(node, name, response.status)
    world.checks.noLeak(text, 'an error answer')
    return null
  }
  const answer = JSON.parse(text) as TokenAnswer
  return {
    name,
    token: answer.token,
    version: answer.version,
    expiresIn: answer.expires_in,
    stale: answer.stale === true,
    fields: answer.fields,
  }
}

/** Says that a token was refused. */
export async function report(world: World, node: SimulatedNode, name: string, stale: string): Promise<void> {
  if (world.store.entry(name)?.token?.value === stale) world.checks.watch(name).reported.add(stale)
  await refresh(world, node, name, { stale })
}

/** Asks a node for a refresh. */
export async function refresh(
  world: World,
  node: SimulatedNode,
  name: string,
  body: { readonly stale?: string },
): Promise<void> {
  if (node.handler === null || node.isPaused) return
  const response = await node.handler(
    new Request(`${origin}/v1/tokens/${name}/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
    peer,
  )
  const text = await response.text()
  if (response.status !== 200) world.checks.noLeak(text, 'an error answer')
}
