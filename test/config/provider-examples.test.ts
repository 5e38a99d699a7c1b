/** Every example on the pages of docs/providers loads, just as a reader would paste it. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load-config.ts'
import { parseSource, providers } from '../../src/providers/catalogue.ts'
import { selfSigned } from '../http/self-signed.ts'
import { pkcs8, rsaPair } from '../providers/keys.ts'

const folder = new URL('../../docs/providers/', import.meta.url)
const pages = readdirSync(folder).filter((name) => name.endsWith('.md'))

const examples = pages.flatMap((page) => {
  const text = readFileSync(new URL(page, folder), 'utf8')
  return [...text.matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml = ''], index) => ({ page, index, yaml }))
})

const files: Readonly<Record<string, () => string>> = {
  '.json': () =>
    JSON.stringify({ type: 'service_account', client_email: 'robot@p.example', private_key: pkcs8(rsaPair()) }),
  'cert.pem': () => selfSigned(rsaPair()).cert,
  '.pem': () => pkcs8(rsaPair()),
}

async function problemsOf(yaml: string): Promise<string[]> {
  const readFile = async (path: string): Promise<{ bytes: Uint8Array; mode: number }> => {
    if (path.endsWith('.env')) throw Object.assign(new Error('not there'), { code: 'ENOENT' })
    const made = Object.entries(files).find(([end]) => path.endsWith(end))?.[1] ?? (() => 'a-secret')
    return { bytes: Buffer.from(path.endsWith('zhongkong.yaml') ? yaml : made()), mode: 0o600 }
  }
  const valueOf = (name: string): string => (name.endsWith('AES_KEY') ? 'a'.repeat(43) : 'a-secret')
  const names = [...yaml.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => [name, valueOf(name)])
  const environment = Object.fromEntries(names) as Record<string, string>
  const { issues } = await loadConfig({ path: '/x/zhongkong.yaml', environment, parseSource, readFile })
  return issues.map(({ line, column, message, fix }) => `${line}:${column} ${message.en} ${fix?.en ?? ''}`)
}

describe('docs/providers', () => {
  it('has an example for every provider', () => {
    const shown = examples.map(({ yaml }) => yaml).join('\n')
    expect(providers.filter(({ kind }) => !shown.includes(`provider: ${kind}`)).map(({ kind }) => kind)).toEqual([])
  })

  it.each(examples)('$page, example $index, loads without an error or a warning', async ({ yaml }) => {
    expect(await problemsOf(yaml)).toEqual([])
  })

  it('the check itself sees a mistake, with its place and a fix', async () => {
    const [problem] = await problemsOf('sources:\n  a: { provider: douyin, client_keey: x, client_secret: "${S}" }\n')
    expect(problem).toMatch(/^2:\d+ /)
    expect(await problemsOf('sources:\n  a: { provider: duoyin }\n')).toEqual([expect.stringContaining('"douyin"')])
  })
})
