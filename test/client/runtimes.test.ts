/** The client as one file in other runtimes, against a whole node; each where that runtime is installed. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rolldown } from 'rolldown'
import { expect, test as plainTest } from 'vitest'
import { client as grantOf } from '../http/visitor.ts'
import { repository } from '../repository.ts'
import { key, openLive, type Live } from './live.ts'

const test = plainTest.extend<{ live: Live; folder: string }>({
  live: async ({}, use) => {
    const live = await openLive()
    await use(live)
    await live.close()
  },
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhongkong-runtime-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
})

/** `node18` is whatever is called so; the newer ones run all tests (`npm run test:nodes`). */
const runtimes = [
  { runtime: 'Node', command: [process.execPath, 'program.mjs'] },
  { runtime: 'Node 18', command: ['node18', 'program.mjs'] },
  { runtime: 'Bun', command: ['bun', 'program.mjs'] },
  { runtime: 'Deno', command: ['deno', 'run', '--no-prompt', '--allow-net=127.0.0.1', 'program.mjs'] },
] as const

const grant = grantOf('shop', key, { read: ['weixin'], refresh: ['weixin'], gateway: ['weixin'] })

/** Says what it sees, a line each, and ends by itself. */
function programFor(url: string): string {
  return `
import { createClient } from './client.mjs'
const say = (line) => console.log(line)
const client = createClient({ url: ${JSON.stringify(url)}, key: ${JSON.stringify(key)} })
client.on('listening', () => say('listening'))
const { token } = await client.get('weixin')
say(token)
await new Promise((resolve) => client.on('rotated', ({ version }) => version === 2 && resolve()))
say('heard ' + client.peek('weixin').token)
// Two attempts are a second apart; and by then the token is dead.
await new Promise((resolve) => setTimeout(resolve, 1200))
const refreshed = await client.refresh('weixin', { stale: client.peek('weixin').token })
say('reported ' + refreshed.refreshed + ' ' + client.peek('weixin').token)
const answer = await client.fetch('weixin', '/cgi-bin/get_api_domain_ip')
say('called ' + answer.status + ' ' + Object.keys(await answer.json())[0])
const refusal = await client.get('nobody').catch((error) => error)
say('refused ' + refusal.name + ' ' + refusal.code)
await client.close()
say('closed')
`
}

for (const { runtime, command } of runtimes) {
  const [program, ...args] = command
  const isThere = spawnSync(program, ['--version'], { timeout: 10_000 }).status === 0
  // A runtime that is not installed shows as skipped, with its name.
  test.skipIf(!isThere)(
    `in ${runtime} it reads, hears, reports, calls, and ends`,
    async ({ live, folder }) => {
      const { url, node } = await live.open({ clients: [grant], names: ['weixin'] })
      const bundle = await rolldown({ input: join(repository, 'src/client/index.ts'), platform: 'neutral' })
      await bundle.write({ file: join(folder, 'client.mjs'), format: 'esm' })
      await bundle.close()
      await writeFile(join(folder, 'program.mjs'), programFor(url))
      const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
      let problems = ''
      child.stderr.on('data', (data) => (problems += String(data)))
      const { simulator } = live.upstream
      const said: string[] = []
      try {
        for await (const line of createInterface({ input: child.stdout })) {
          said.push(line.replaceAll(simulator.latest('wx-weixin') ?? '-', 'THE LATEST'))
          // It holds the first token, and hears.
          if (said.length === 2) await node.keeper.refresh('weixin')
          if (line.startsWith('heard')) simulator.revoke({ account: 'wx-weixin' })
        }
      } finally {
        child.kill()
      }
      expect(await ended, problems).toBe(0)
      expect(said.slice(0, 2).toSorted()).toEqual(['THE LATEST', 'listening'])
      expect(said.slice(2)).toEqual([
        'heard THE LATEST',
        'reported true THE LATEST',
        'called 200 ip_list',
        'refused ZhongkongClientError not_found',
        'closed',
      ])
      expect(simulator.counters('wx-weixin').token.issued).toBe(3)
      expect(live.faults).toEqual([])
    },
    60_000,
  )
}
