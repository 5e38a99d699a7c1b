/** What ends up in other people's programs: its size, that it needs no package and nothing of Node, and its types. */
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { rolldown } from 'rolldown'
import { beforeAll, expect, test } from 'vitest'
import { repository } from '../repository.ts'

let code = ''
let loaded: readonly string[] = []

beforeAll(async () => {
  const bundle = await rolldown({ input: join(repository, 'src/client/index.ts'), platform: 'neutral' })
  const { output } = await bundle.generate({ format: 'iife', name: 'zhongkong', minify: true })
  await bundle.close()
  code = output[0].code
  loaded = [...output[0].imports, ...output[0].dynamicImports]
})

test('it is smaller than 5 KB gzipped', () => {
  const bytes = gzipSync(code, { level: 9 }).length
  expect(bytes).toBeGreaterThan(1_000)
  expect(bytes).toBeLessThan(5 * 1_024)
})

test('it loads nothing', () => {
  expect(loaded).toEqual([])
  expect(code).not.toMatch(/node:|require\(|\bprocess\b|\bBuffer\b/)
})

test('it runs where there is nothing but what browsers, workers, Bun and Deno have as well', async () => {
  const asked: string[] = []
  const answer = {
    name: 'weixin',
    token: 'the-token',
    version: 1,
    expires_in: 100,
    expires_at: 0,
    issued_at: 0,
    fields: {},
  }
  const web = {
    fetch: async (request: Request) => {
      asked.push(`${request.method} ${request.url} ${request.headers.get('authorization')}`)
      return Response.json(answer)
    },
    ...{ Request, Response, Headers, URL, AbortController, TextDecoder, performance, setTimeout, clearTimeout },
  }
  const context = createContext(web)
  const told = await (runInContext(
    `${code};
    (async () => {
      const client = zhongkong.createClient({ url: 'https://zhongkong.example', key: 'k', background: false })
      const { token, expiresIn } = await client.get('weixin')
      const wrong = await client.fetch('weixin', '/../x').catch((error) => [error instanceof zhongkong.ZhongkongClientError, error.code])
      await client.close()
      return JSON.stringify([token, expiresIn, ...wrong])
    })()`,
    context,
  ) as Promise<string>)
  expect(JSON.parse(told)).toEqual(['the-token', expect.any(Number), true, 'bad_options'])
  expect(asked).toEqual(['GET https://zhongkong.example/v1/tokens/weixin Bearer k'])
})
