/** `zhongkong serve` with a few sources, and their upstream in this process, so that one clock sees a token come and arrive. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { cores, startZhongkong, type Child } from './child.ts'
import { scratchFolder } from './scratch.ts'

export type RotatingServer = {
  readonly url: string
  readonly port: number
  readonly key: string
  readonly process: Child
  /** Has a new token fetched; answers when the upstream gave it, by `performance.now()`, and its version. */
  rotate(name: string): Promise<{ readonly at: number; readonly version: number }>
  stop(): Promise<void>
}

/** One source may be rotated twenty times a minute, and once a second. */
export async function startRotatingServer(names: readonly string[]): Promise<RotatingServer> {
  let issues = 0
  let issuedAt = NaN
  const upstream = createServer((_request, response) => {
    issues += 1
    response.setHeader('Content-Type', 'application/json')
    response.end(
      JSON.stringify({ access_token: `token-${issues}-${randomBytes(48).toString('hex')}`, expires_in: 7_200 }),
    )
    issuedAt = performance.now()
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const address = upstream.address()
  const upstreamPort = typeof address === 'object' && address !== null ? address.port : 0
  const key = `zk_${randomBytes(32).toString('base64url')}`
  const hash = createHash('sha256').update(key).digest('hex')
  const folder = scratchFolder()
  writeFileSync(
    join(folder, 'zhongkong.yaml'),
    [
      'server: { listen: "127.0.0.1:0" }',
      `store: sqlite:${join(folder, 'zhongkong.db')}`,
      'sources:',
      ...names.map(
        (name) => `  ${name}: { provider: http, url: "http://127.0.0.1:${upstreamPort}/token", min_interval: 0 }`,
      ),
      `clients: { shop: { key: "sha256:${hash}", read: ["*"], refresh: ["*"] } }`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  const child = startZhongkong(['serve', '-c', join(folder, 'zhongkong.yaml')], { core: cores.measured })
  const url = (await child.line('zhongkong ready on ')).split(' ').at(-1) ?? ''
  return {
    url,
    port: Number(new URL(url).port),
    key,
    process: child,
    rotate: async (name) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
      const answer = await fetch(`${url}/v1/tokens/${name}/refresh`, { method: 'POST', headers, body: '{}' })
      const { version, refreshed } = (await answer.json()) as { version: number; refreshed: boolean }
      if (!refreshed) throw new Error(`HTTP ${answer.status}: not refreshed`)
      return { at: issuedAt, version }
    },
    stop: async () => {
      await child.stop()
      upstream.close()
    },
  }
}
