import { afterEach, describe, expect, it } from 'vitest'
import { cannedServer, type Canned, type CannedServer } from '../../../test/cli/canned-server.ts'
import { fakeIo } from '../../../test/cli/fake-io.ts'
import type { RecoveryAnswer } from '../../wire/v1.ts'
import { run } from './recover.ts'

const servers: CannedServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const part = (next: number | null, more: Partial<RecoveryAnswer> = {}): Canned => ({
  body: { total: 700, next, made: 1, mended: 2, kept: 497, failed: [], ...more },
})

async function recover(answers: readonly (Canned | null)[], from = '0', language: 'en' | 'zh' = 'en') {
  const server = await cannedServer((count) => answers[count] ?? null)
  servers.push(server)
  const io = { ...fakeIo({ environment: { ZHONGKONG_URL: server.url, ZHONGKONG_KEY: 'zk_admin' } }), language }
  const exit = await run({ args: ['a/b'], options: { from } }, io).catch(() => 'thrown')
  return { exit, io, server }
}

describe('recover', () => {
  it('goes on until there is no next part, and says how far it is', async () => {
    const { exit, io, server } = await recover([part(500), part(null)])
    expect(exit).toBe(0)
    expect(io.outLines).toEqual([
      '500 of 700: 1 made, 2 mended, 497 as they were, 0 failed',
      '700 of 700: 1 made, 2 mended, 497 as they were, 0 failed',
    ])
    expect(server.asked).toEqual(['POST /v1/sources/a%2Fb/recover', 'POST /v1/sources/a%2Fb/recover'])
  })

  it.each([
    ['en', 'To go on from here: zhongkong recover a/b --from 500'],
    ['zh', '从此处继续：zhongkong recover a/b --from 500'],
  ] as const)('says in %s how to go on when it was interrupted', async (language, line) => {
    const { exit, io } = await recover([part(500), null], '0', language)
    expect([exit, io.errLines]).toEqual(['thrown', [line]])
  })

  it('names the accounts that could not be mended, and fails in the end', async () => {
    const { exit, io } = await recover([part(null, { failed: [{ name: 'a/b/wx1', detail: 'it is in the file' }] })])
    expect([exit, io.errLines]).toEqual([1, ['a/b/wx1: it is in the file']])
  })

  it('ends with a server that tells the same part for ever', async () => {
    const { exit, server } = await recover([part(500), part(500), part(500)])
    expect([exit, server.asked.length]).toEqual([0, 2])
  })
})
