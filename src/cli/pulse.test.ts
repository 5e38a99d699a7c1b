import { expect, it } from 'vitest'
import type { Clock } from '../base/env.ts'
import { PulseWatch, workerPulse } from './pulse.ts'

type Member = { readonly name: string; answers: boolean; readonly askedAt: number[]; readonly silentFor: number[] }

const member = (name: string, answers = true): Member => ({ name, answers, askedAt: [], silentFor: [] })

/** Runs the watch for so many questions, on a clock that goes on by itself; `onTurn` is called before each. */
async function watched(members: Member[], turns: number, onTurn: (turn: number) => void = () => undefined) {
  const stopping = new AbortController()
  let now = 0
  let turn = 0
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (ms) => {
      now += ms
      turn += 1
      if (turn > turns) stopping.abort()
      else onTurn(turn)
      return Promise.resolve()
    },
  }
  const watch = new PulseWatch<Member>(workerPulse)
  const ask = (one: Member): void => {
    one.askedAt.push(now)
    if (one.answers) watch.heard(one)
  }
  await watch.run(
    { members: () => members, ask, onSilent: (one, ms) => one.silentFor.push(ms) },
    clock,
    stopping.signal,
  )
}

it('who answers is asked every five seconds and left alone', async () => {
  const one = member('a')
  await watched([one], 100)
  expect(one.askedAt.slice(0, 3)).toEqual([5_000, 10_000, 15_000])
  expect(one.askedAt).toHaveLength(100)
  expect(one.silentFor).toEqual([])
})

it('who keeps silent for half a minute is given up, once, and nobody else is', async () => {
  const [well, hung] = [member('a'), member('b', false)]
  await watched([well, hung], 6)
  expect(hung.silentFor).toEqual([])
  await watched([well, hung], 20)
  expect(hung.silentFor).toEqual([30_000])
  expect(well.silentFor).toEqual([])
})

it('who answers in time begins anew', async () => {
  const slow = member('a', false)
  await watched([slow], 40, (turn) => (slow.answers = turn % 6 === 0))
  expect(slow.silentFor).toEqual([])
})

it('who takes the place of another begins with nothing missed', async () => {
  const [hung, newcomer] = [member('a', false), member('b', false)]
  const members = [hung]
  await watched(members, 11, (turn) => {
    if (turn === 8) members.splice(0, 1, newcomer)
  })
  expect(hung.silentFor).toEqual([30_000])
  expect(newcomer.askedAt).toHaveLength(4)
  expect(newcomer.silentFor).toEqual([])
})
