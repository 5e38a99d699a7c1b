import { test } from 'vitest'
import { writeFileSync, mkdtempSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { configJsonSchema } from '../config/json-schema.ts'
import { sourceJsonSchema } from '../providers/catalogue.ts'
import { run as check } from './commands/check.ts'
import { run as imp } from './commands/import.ts'
import type { Io } from './command.ts'
const io = (directory: string, language: 'en' | 'zh'): Io => ({
  out: (l) => console.log(l),
  err: (l) => console.log('E ' + l),
  environment: {},
  directory,
  language,
  isTerminal: true,
  columns: 80,
  signal: new AbortController().signal,
  onHangup: () => () => undefined,
})
test('s', () => {
  writeFileSync('/tmp/schema.json', JSON.stringify(configJsonSchema(sourceJsonSchema()), null, 2))
})
for (const lang of ['en', 'zh'] as const)
  test('c' + lang, async () => {
    const d = mkdtempSync('/tmp/zk/x')
    await imp({ args: [resolve('test/fixtures/wechat-token-server-config.py')], options: {} }, io(d, lang))
    console.log(await check({ args: [], options: {} }, io(d, lang)))
    writeFileSync(
      join(d, 'bad.yaml'),
      `server: { listen: 0.0.0.0:80 }
sources:
  weixin: { provider: wechat, appid: wx1, secert: hunter2hunter2 }
  t: { provider: wechat-ticket, of: wexin, type: jspi }
  h: { provider: http, url: "https://a.example/x", query: { t: "{{results.t.tickt}}" } }
store: redis://localhost
`,
    )
    console.log(await check({ args: [], options: { config: 'bad.yaml' } }, io(d, lang)))
    console.log(await check({ args: [], options: { config: 'none.yaml' } }, io(d, lang)))
  })
