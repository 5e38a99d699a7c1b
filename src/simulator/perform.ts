/**
 * One call with everything that goes wrong on its way. The order is that of a real one: the line, the time before the
 * upstream gets to it, the upstream itself, the time after, the answer's way back.
 */
import { preventsIssue, type Effect } from './effect.ts'
import { respondInstead, respondSpoilt } from './spoil.ts'
import type { Call, Given } from './upstream.ts'
import { connectionLost, connectionRefused, pause } from './connection.ts'
import type { World } from './world.ts'

export async function perform(
  world: World,
  call: Call,
  effects: readonly Effect[],
  delayMs: number,
): Promise<Response> {
  const { clock } = world
  const refused = effects.find((effect) => effect.type === 'refuse')
  if (refused !== undefined) throw connectionRefused(refused.code)
  await pause(clock, delayMs + slowness(effects, 'before'))
  const instead = effects.find(preventsIssue)
  const answer =
    instead === undefined ? call.answer() : instead.type === 'errcode' ? call.refuse(instead.code, instead.text) : null
  world.journal.record(
    clock.now(),
    call,
    answer,
    effects.map(({ type }) => type),
  )
  if (answer !== null && answer.given !== null) haunt(answer.given, effects, clock.now())
  await pause(clock, slowness(effects, 'after'))
  if (effects.some(({ type }) => type === 'reset' || type === 'lose-answer')) throw connectionLost()
  // Nobody ever answers: the caller's own signal ends the wait, and this promise is forgotten with it.
  if (effects.some(({ type }) => type === 'hang')) await new Promise<never>(() => undefined)
  return answer === null ? respondInstead(effects, clock) : respondSpoilt(answer, effects, clock)
}

function slowness(effects: readonly Effect[], when: 'before' | 'after'): number {
  return effects.reduce((sum, effect) => sum + (effect.type === 'slow' && effect.when === when ? effect.ms : 0), 0)
}

/** What will happen to the value behind the caller's back. */
function haunt(given: Given, effects: readonly Effect[], now: number): void {
  for (const effect of effects) {
    if (effect.type === 'revoke-early') given.issue.endsAt = Math.min(given.issue.endsAt, now + effect.afterMs)
    if (effect.type === 'foreign-refresher') given.issue.channel.rotateAt(now + effect.afterMs)
  }
}
