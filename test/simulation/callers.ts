/** Programs behind zhongkong: they read tokens, use them, keep them as long as they were told, and report refusals. */
import { guestSource, keys } from './keys.ts'
import type { SimulatedNode } from './node.ts'
import type { Served } from './checks.ts'
import type { World } from './world.ts'
import type { TokenAnswer } from '../../src/wire/v1.ts'

const origin = 'http://127.0.0.1:8888'
const peer = { address: '127.0.0.1', isLoopback: true }
/** Mean time between two reads of one program, in milliseconds. */
const readMs = 480_000
/** Mean time between two questions of a guest, in milliseconds. */
const guessMs = 7_200_000
/** What programs want of a token, in seconds: nothing, a call's time, an hour's work, all there is, more than there is. */
const wishes = [10, 120, 600, 2_000, 3_600, 4_700, 5_000, 6_900, 7_300, 20_000] as const
/** The share of reads that come with a wish. */
const wishful = 0.15

/** Sets a program going that reads one source from one node until the run ends. */
export function callOften(world: World, node: SimulatedNode, name: string): void {
  const again = (): void => {
    world.time.after(world.chance.soon(readMs), () => {
      const minTtl = world.chance.is(wishful) ? world.chance.pick(wishes) : 0
      void readAndUse(world, node, name, minTtl).catch((error: unknown) => world.checks.fault(error))
      if (world.time.now() < world.endsAt) again()
    })
  }
  again()
}

/** A sink reads each new token as soon as it hears of it, and once more a little later. */
export function readOnNews(world: World, node: SimulatedNode, name: string): void {
  for (const ms of [world.chance.between(1, 50), world.chance.between(1_000, 20_000)]) {
    world.time.after(ms, () => {
      void readAndUse(world, node, name, 0).catch((error: unknown) => world.checks.fault(error))
    })
  }
}

/** Sets a program going that tries, now and then, what its key does not open. */
export function guess(world: World, node: SimulatedNode): void {
  const again = (): void => {
    world.time.after(world.chance.soon(guessMs), () => {
      void guessOnce(world, node).catch((error: unknown) => world.checks.fault(error))
      if (world.time.now() < world.endsAt) again()
    })
  }
  again()
}

/** A source that is there and one that is not must look the same to whoever may read neither. */
async function guessOnce(world: World, node: SimulatedNode): Promise<void> {
  const { handler } = node
  if (handler === null || node.isPaused) return
  const ask = async (name: string, key: string): Promise<string> => {
    const response = await handler(requestOf(`/v1/tokens/${name}`, key), peer)
    return `${response.status} ${await response.text()}`
  }
  const [there, missing] = [await ask('classic', keys.guest), await ask('nothing', keys.guest)]
  if (!there.startsWith('404') || there !== missing) {
    world.checks.fail('I22', `a source that may not be read is answered ${there}, a missing one ${missing}`)
  }
  const own = await ask(guestSource, keys.guest)
  if (own.startsWith('403')) world.checks.fail('I22', `a source that may be read is answered ${own}`)
  const wrong = await ask(guestSource, `${keys.guest}x`)
  if (!wrong.startsWith('401') && !wrong.startsWith('429')) {
    world.checks.fail('I22', `a wrong key is answered ${wrong.slice(0, 3)}`)
  }
}

/** Reads once; what it gets is checked, used and, when it is refused, reported. */
export async function readAndUse(world: World, node: SimulatedNode, name: string, minTtl: number): Promise<void> {
  const served = await read(world, node, name, minTtl)
  if (served === null) return
  world.checks.served(node, served)
  const readAt = world.time.now()
  if (!world.simulator.accepts(served.token)) {
    if (!world.hasReporters) return
    world.time.after(world.chance.between(50, 2_000), () => {
      // One that was answered with an error has not been taken down anywhere.
      void report(world, node, name, served.token).then((status) => {
        if (status === 200) world.checks.reportedDead(node, name, served.token)
      })
    })
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

function requestOf(path: string, key: string = keys.house, body?: string): Request {
  const authorization = `Bearer ${key}`
  if (body === undefined) return new Request(`${origin}${path}`, { headers: { authorization } })
  const headers = { authorization, 'content-type': 'application/json' }
  return new Request(`${origin}${path}`, { method: 'POST', headers, body })
}

/** Reads a token over HTTP, with so many seconds left at least; null when there is none. */
async function read(world: World, node: SimulatedNode, name: string, minTtl: number): Promise<Served | null> {
  if (node.handler === null || node.isPaused) return null
  const { process } = node
  const response = await node.handler(requestOf(`/v1/tokens/${name}${minTtl > 0 ? `?min_ttl=${minTtl}` : ''}`), peer)
  const text = await response.text()
  if (response.status !== 200) {
    const retryAfter = response.headers.get('retry-after')
    world.checks.refusedRead(node, { name, process, minTtl, status: response.status, retryAfter })
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
    minTtl,
  }
}

/** Looks at how a source is doing, as a status page does. */
export async function look(world: World, node: SimulatedNode, name: string): Promise<void> {
  if (node.handler === null || node.isPaused) return
  const response = await node.handler(requestOf(`/v1/sources/${name}`), peer)
  world.checks.noLeak(await response.text(), 'the state of a source')
}

/** Says that a token was refused; answers as `refresh` does. */
export async function report(world: World, node: SimulatedNode, name: string, stale: string): Promise<number | null> {
  // Where a row was deleted, what is current is known to the nodes' views alone.
  const current = world.store.entry(name)?.token?.value ?? stale
  if (current === stale) world.checks.watch(name).reported.add(stale)
  return await refresh(world, node, name, { stale })
}

/** Asks a node for a refresh; the status of its answer, or null when the node is not there. */
export async function refresh(
  world: World,
  node: SimulatedNode,
  name: string,
  body: { readonly stale?: string },
): Promise<number | null> {
  if (node.handler === null || node.isPaused) return null
  if (body.stale === undefined) world.checks.watch(name).askedAt = world.time.now()
  const response = await node.handler(requestOf(`/v1/tokens/${name}/refresh`, keys.house, JSON.stringify(body)), peer)
  const text = await response.text()
  if (response.status !== 200) world.checks.noLeak(text, 'an error answer')
  return response.status
}
