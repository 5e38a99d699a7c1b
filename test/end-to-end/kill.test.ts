/** A real server on a real SQLite file, under load, killed again and again. */
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { classic } from './accounts.ts'
import { integrityOf, whole } from './database-file.ts'
import { killAgainAndAgain, median, type KillFigures } from './kill-run.ts'
import { openStage, type Stage } from './stage.ts'

/** As many as fit in twenty seconds; `ZHONGKONG_KILLS=100` makes so many, however long it takes. */
const planned =
  process.env.ZHONGKONG_KILLS === undefined
    ? { kills: 25, withinMs: 20_000 }
    : { kills: Number(process.env.ZHONGKONG_KILLS), withinMs: Infinity }

let stage: Stage

beforeEach(async () => {
  stage = await openStage()
})

afterEach(async () => {
  await stage.close()
})

test('kill -9 again and again at random moments: no acknowledged rotation is lost, the file stays whole', async () => {
  const accounts = Object.fromEntries(Array.from({ length: 12 }, (_, each) => [`weixin${each}`, `wx-killed-${each}`]))
  const knobs = { ttlSeconds: 120, delayMs: { token: 40 } }
  const upstream = await stage.upstream({ accounts: [] })
  const sources = Object.fromEntries(
    Object.entries(accounts).map(([name, appid]) => [name, { ...classic(upstream, appid, knobs), timeout: '1s' }]),
  )
  const path = await stage.configure({ store: 'sqlite:tokens.db', sources })
  const figures = await killAgainAndAgain({ stage, upstream, path, accounts, ...planned })
  const { counts, readyMs, firstReadyMs, lost, deadMsMax } = figures
  const lostInAll = Object.values(lost).reduce((sum, count) => sum + count, 0)
  tell(figures, lostInAll)
  expect(figures.breaches).toEqual([])
  expect(figures.failures).toEqual([])
  expect(figures.kills).toBeGreaterThan(5)
  expect(counts.rotations).toBeGreaterThan(0)
  // What a kill costs the upstream is the answer that was on its way; what was acknowledged has a version.
  expect(Math.min(...Object.values(lost))).toBeGreaterThanOrEqual(0)
  expect(lostInAll).toBeLessThanOrEqual(figures.kills)
  // Two kills in a row within the same refresh can kill the token that is served, until the dead node's lease ends.
  expect(deadMsMax).toBeLessThan(10_000)
  // Half a second on a machine of its own, and others may be at work beside it. A kill leaves nothing behind that a start
  // has to wait for: no lease, no lock, no recovery.
  expect(median(readyMs)).toBeLessThan(2 * firstReadyMs + 500)
  expect(await figures.last.stop('SIGTERM')).toMatchObject({ code: 0 })
  expect(await integrityOf(join(stage.folder, 'tokens.db'))).toEqual(whole)
}, 400_000)

/** The figures of the long run, for people. */
function tell({ kills, killedAtBoot, counts, lost, readyMs, deadMsMax }: KillFigures, lostInAll: number): void {
  if (process.env.ZHONGKONG_KILLS === undefined) return
  const at = (share: number): number => Math.round(readyMs[Math.floor((readyMs.length - 1) * share)] ?? 0)
  const spread = { min: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
  console.log(JSON.stringify({ kills, killedAtBoot, ...counts, deadMsMax, lost, lostInAll, readyMs: spread }))
}
