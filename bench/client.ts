/**
 * Claim: a warm `get` of `zhongkong/client` is a look into memory, and a rotation is in that memory within moments.
 * Nanoseconds of one call, beside a bare Map look-up with the clock; and milliseconds from the moment in which the upstream
 * gave the token to that in which `get` gives it, over a real server and a real stream.
 *
 * Options: --rounds N (7), --calls N of a round (1000000), --rotations N (50).
 */
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient, type Client } from '../src/client/index.ts'
import type { Contender } from './embedded.ts'
import { median, quantile, spread, table } from './figures.ts'
import type { Measure } from './main.ts'
import { startRotatingServer } from './rotating-server.ts'

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      calls: { type: 'string', default: '1000000' },
      rotations: { type: 'string', default: '50' },
    },
  })
  const names = ['weixin', 'one', 'two', 'three', 'four']
  const server = await startRotatingServer(names)
  const client = createClient({ url: server.url, key: server.key })
  const isListening = new Promise<void>((resolve) => client.on('listening', () => resolve()))
  await Promise.all(names.map((name) => client.get(name)))
  await isListening
  await pause(500)
  const tookMs: number[] = []
  for (let round = 0; round < Number(values.rotations); round += 1) {
    const arrived = new Promise<number>((resolve) => {
      const stop = client.on('rotated', () => {
        stop()
        resolve(performance.now())
      })
    })
    const { at } = await server.rotate(names[round % names.length] ?? '')
    tookMs.push((await arrived) - at)
    await pause(20)
  }
  const measured = await compare(contenders(client), Number(values.rounds), Number(values.calls))
  await client.close()
  await server.stop()
  const rows = measured.map(({ name, nanos }) => [name, median(nanos).toFixed(0), spread(nanos, 0)])
  const latencies = [0.5, 0.99, 1].map((share) => quantile(tookMs, share).toFixed(1))
  return {
    tables: [
      { title: 'Warm reads', text: table(['call', 'ns', '(rounds)'], rows) },
      { title: 'From the upstream to `get`', text: table(['p50 ms', 'p99', 'max'], [latencies]) },
    ],
    numbers: { measured, tookMs },
  }
}

function contenders(client: Client): readonly Contender[] {
  const ends = new Map([['weixin', Date.now() + 7_200_000]])
  const repeat =
    (call: () => number) =>
    (calls: number): number => {
      let sum = 0
      for (let at = 0; at < calls; at += 1) sum += call()
      return sum
    }
  return [
    { name: 'Map look-up and Date.now()', run: repeat(() => (ends.get('weixin') ?? 0) - Date.now()) },
    { name: "client.peek('weixin')", run: repeat(() => client.peek('weixin')?.version ?? NaN) },
    {
      name: "client.get('weixin'), not awaited",
      run: repeat(() => (client.get('weixin') instanceof Promise ? 1 : NaN)),
    },
    {
      name: "await client.get('weixin')",
      run: async (calls) => {
        let sum = 0
        for (let at = 0; at < calls; at += 1) sum += (await client.get('weixin')).version
        return sum
      },
    },
  ]
}

/** Nanoseconds of one call by contender, in rounds in which they take turns; one round before that is for warming up. */
async function compare(all: readonly Contender[], rounds: number, calls: number) {
  const measured = all.map(({ name }) => ({ name, nanos: [] as number[] }))
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, { name, run }] of all.entries()) {
      const began = process.hrtime.bigint()
      const sum = await run(calls)
      if (!(sum > 0)) throw new Error(`${name} found nothing`)
      if (round > 0) measured[at]?.nanos.push(Number(process.hrtime.bigint() - began) / calls)
    }
  }
  return measured
}
