/** Streams of a server with several workers: whichever worker has the stream, and whichever fetches. */
import { expect, test as plainTest } from 'vitest'
import { classic } from '../end-to-end/accounts.ts'
import { eventually, openStage, type Stage } from '../end-to-end/stage.ts'
import { createClient } from '../../src/client/index.ts'
import { stream } from './live.ts'

const test = plainTest.extend<{ stage: Stage }>({
  stage: async ({}, use) => {
    const stage = await openStage()
    await use(stage)
    await stage.close()
  },
})

test('every stream of three workers is told of each rotation, and clients have it', async ({ stage }) => {
  const upstream = await stage.upstream({ accounts: [] })
  const path = await stage.configure({
    store: 'sqlite:tokens.db',
    server: { workers: 3 },
    sources: { weixin: classic(upstream, 'wx-crew') },
  })
  const { url } = await stage.serve(path)
  const clients = Array.from({ length: 4 }, () => createClient({ url }))
  try {
    const streams = await Promise.all(
      Array.from({ length: 12 }, () => stream(url, '?names=weixin', { authorization: '' })),
    )
    await Promise.all(clients.map((client) => client.get('weixin')))
    // The part of an id before its last dash is that of one worker.
    const runs = await eventually('all are greeted', 5_000, async () => {
      const ids = streams.flatMap(({ events }) => events.slice(0, 1).map(({ id }) => id.replace(/-\d+$/, '')))
      return ids.length === streams.length ? new Set(ids) : null
    })
    expect(runs.size).toBe(3)
    for (const version of [2, 3]) {
      const answer = await fetch(`${url}/v1/tokens/weixin/refresh`, { method: 'POST' })
      expect(await answer.json()).toMatchObject({ version, refreshed: true })
      await eventually(`all hear of version ${version}`, 10_000, async () => {
        const heard = streams.every(({ events }) => events.some(({ data }) => data.version === version))
        const held = clients.every((client) => client.peek('weixin')?.version === version)
        return heard && held ? true : null
      })
    }
    for (const { events } of streams) {
      const versions = events.filter(({ type }) => type === 'rotated').map(({ data }) => Number(data.version))
      expect(versions).toEqual([...new Set(versions)].sort((left, right) => left - right))
    }
    const metrics = await (await fetch(`${url}/metrics`)).text()
    expect(Number(/^zhongkong_watchers (\d+)$/m.exec(metrics)?.[1])).toBe(16)
    streams.forEach(({ cut }) => cut())
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}, 60_000)
