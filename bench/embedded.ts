/**
 * Claim: inside the process a warm read is a look into memory. Nanoseconds of one call of the library's `get`, and of the
 * keeper's `peek` with the seconds left, which the server answers from; beside them a bare Map look-up with the clock and,
 * awaited, the least that any asynchronous function can cost.
 *
 * Options: --rounds N (7), --calls N of a round (1000000), --sources N that are read in turn (1000).
 */
import { parseArgs } from 'node:util'
import { realEnv } from '../src/base/real-env.ts'
import type { Keeper } from '../src/keeper/keeper.ts'
import { openKeeper as openInnerKeeper } from '../src/keeper/open-keeper.ts'
import { openKeeper } from '../src/index.ts'
import { issue, parseSource } from '../src/providers/catalogue.ts'
import { openStore } from '../src/stores/open-store.ts'
import { cores, startProgram } from './child.ts'
import { definitionOf, fillStore, nameOf } from './filled-store.ts'
import { median, spread, table } from './figures.ts'
import type { Measure } from './main.ts'
import { describeQuiet, quietRounds, waitedMs, type Quiet } from './quiet.ts'
import type { UpstreamState } from './upstream.ts'

/** Does `calls` calls; answers something that depends on them, so that none is left out by the compiler. */
export type Contender = { readonly name: string; readonly run: (calls: number) => number | Promise<number> }

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      calls: { type: 'string', default: '1000000' },
      sources: { type: 'string', default: '1000' },
    },
  })
  const names = Array.from({ length: Number(values.sources) }, (_, index) => nameOf(index, 'store'))
  const upstream = startProgram('upstream', ['7200'], { core: cores.around })
  const { url } = await upstream.ask<UpstreamState>({})
  const inner = await openFilledKeeper(names, url)
  const library = await openKeeper({
    store: 'memory:',
    sources: Object.fromEntries(names.map((name, index) => [name, definitionOf(index, url, 'store')])),
  })
  // The first reads fetch; a few at a time, as none waits for ever.
  for (let at = 0; at < names.length; at += 32) {
    await Promise.all(names.slice(at, at + 32).map((name) => library.get(name)))
  }
  const all = contenders(names, inner.keeper, library)
  const quiet = await compare(all, Number(values.rounds), Number(values.calls))
  await Promise.all([inner.close(), library.close(), upstream.stop()])
  const measured = all.map(({ name }, at) => ({ name, nanos: quiet.rounds.map((round) => round[at] ?? NaN) }))
  const rows = measured.map(({ name, nanos }) => [
    name,
    median(nanos).toFixed(0),
    spread(nanos, 0),
    describeQuiet(quiet),
  ])
  const title = `Warm reads of ${names.length} sources in turn`
  return {
    tables: [{ title, text: table(['call', 'ns', '(rounds)', 'waited, rounds'], rows) }],
    numbers: { measured, waitedShare: quiet.waitedShare, ran: quiet.ran },
  }
}

/** The keeper below the library, as the server holds it, with every source read once. */
async function openFilledKeeper(names: readonly string[], upstream: string) {
  const env = realEnv()
  const store = await openStore({ url: 'memory:', encryptionKey: null, env })
  await fillStore(store, { count: names.length, upstream, place: 'store' })
  const keeper = await openInnerKeeper({
    env,
    store,
    node: 'bench',
    sources: [],
    parseSource,
    issue,
    emit: () => undefined,
    onFault: (thrown) => console.error(thrown),
  })
  for (const name of names) await keeper.get(name)
  const close = async (): Promise<void> => {
    await keeper.stop()
    await store.close()
    await env.close()
  }
  return { keeper, close }
}

function contenders(
  names: readonly string[],
  keeper: Keeper,
  library: Awaited<ReturnType<typeof openKeeper>>,
): readonly Contender[] {
  const nameAt = (call: number): string => names[call % names.length] ?? ''
  const ends = new Map(names.map((name) => [name, Date.now() + 7_200_000]))
  return [
    {
      name: 'Map look-up and Date.now()',
      run: (calls) => {
        let sum = 0
        for (let call = 0; call < calls; call += 1) sum += (ends.get(nameAt(call)) ?? 0) - Date.now()
        return sum
      },
    },
    {
      name: 'the same, awaited',
      run: async (calls) => {
        const look = async (name: string): Promise<number> => (ends.get(name) ?? 0) - Date.now()
        let sum = 0
        for (let call = 0; call < calls; call += 1) sum += await look(nameAt(call))
        return sum
      },
    },
    {
      name: 'keeper.peek and keeper.leftMs',
      run: (calls) => {
        let sum = 0
        for (let call = 0; call < calls; call += 1) {
          const snapshot = keeper.peek(nameAt(call))
          if (snapshot !== undefined) sum += keeper.leftMs(snapshot)
        }
        return sum
      },
    },
    {
      name: 'await keeper.get(name), the library',
      run: async (calls) => {
        let sum = 0
        for (let call = 0; call < calls; call += 1) sum += (await library.get(nameAt(call))).expiresIn
        return sum
      },
    },
  ]
}

/** Nanoseconds of one call by contender, in rounds in which they take turns; one round before that is for warming up. */
async function compare(all: readonly Contender[], wanted: number, calls: number): Promise<Quiet<readonly number[]>> {
  const round = async () => {
    const before = waitedMs(process.pid)
    const startedAt = performance.now()
    const result: number[] = []
    for (const { name, run } of all) {
      const began = process.hrtime.bigint()
      const sum = await run(calls)
      result.push(Number(process.hrtime.bigint() - began) / calls)
      if (!(sum > 0)) throw new Error(`${name} found nothing`)
    }
    return { result, waitedShare: (waitedMs(process.pid) - before) / (performance.now() - startedAt) }
  }
  await round()
  return await quietRounds(wanted, round)
}
