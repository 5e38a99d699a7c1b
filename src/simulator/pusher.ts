/**
 * Pushes what is due to the addresses that accounts name: tickets at their pace, and whatever happened to an app. Five
 * seconds for an answer, three tries, as the platforms do; what was not taken then is lost.
 */
import type { Fetch } from '../base/env.ts'
import { deadline, until } from '../base/env.ts'
import type { JsonObject } from '../base/json.ts'
import { openPlatformOf, type OpenPlatform } from './open-platform.ts'
import { isTaken, pushRequest, type PushTarget } from './push.ts'
import { findSuite, suiteOf, type Suite } from './suite.ts'
import type { World } from './world.ts'

const answerMs = 5_000
const triesMax = 3

export type Pushed = { readonly taken: number; readonly lost: number }

/** Pushes everything that is due now, one message after the other. Answers how many were taken, and how many were not. */
export async function pushDue(world: World, send: Fetch): Promise<Pushed> {
  let [taken, lost] = [0, 0]
  for (const { account } of [...world.states()]) {
    const pushing = findPushing(world, account.id)
    if (!pushing?.target) continue
    const { target, outbox } = pushing
    pushing.tick()
    for (let message = outbox.shift(); message !== undefined; message = outbox.shift()) {
      if (await push(world, send, target, message)) taken += 1
      else lost += 1
    }
  }
  return { taken, lost }
}

/** What a platform that pushes knows of an account; null for an account to which nothing is pushed. */
export function findPushing(world: World, id: string): Suite | OpenPlatform | null {
  const app = findSuite(world, id)
  if (app !== null) return suiteOf(world, app)
  const component = world.find('wechat-component', id)
  return component === null ? null : openPlatformOf(world, component)
}

async function push(world: World, send: Fetch, target: PushTarget, message: JsonObject): Promise<boolean> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const time = deadline(world.clock, answerMs)
    try {
      const request = pushRequest(target, message, { now: world.clock.now(), random: world.random })
      const response = await until(send(request), time.signal)
      if (await until(isTaken(target, response), time.signal)) return true
    } catch {
      // Nobody there, or no answer in time: it is sent again.
    } finally {
      time.done()
    }
  }
  return false
}
