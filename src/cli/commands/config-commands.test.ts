/** The commands check, import and key, run as main runs them, with a terminal of 80 columns. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Language } from '../../base/text.ts'
import type { CommandInput, Io } from '../command.ts'
import { CliFault } from '../fault.ts'
import { widthOf } from '../terminal.ts'
import { run as check } from './check.ts'
import { run as importCommand } from './import.ts'
import { runKey } from './key.ts'

type Terminal = Io & { readonly stdout: string[]; readonly stderr: string[] }

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zhongkong-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function terminal(language: Language = 'en'): Terminal {
  const stdout: string[] = []
  const stderr: string[] = []
  return {
    stdout,
    stderr,
    out: (line) => void stdout.push(line),
    err: (line) => void stderr.push(line),
    environment: {},
    directory,
    language,
    isTerminal: true,
    columns: 80,
    signal: new AbortController().signal,
    onHangup: () => () => undefined,
  }
}

const input = (args: CommandInput['args'], options: CommandInput['options'] = {}): CommandInput => ({ args, options })
const write = (name: string, text: string, mode = 0o600): void => writeFileSync(join(directory, name), text, { mode })
const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../test/fixtures/${name}-config.py`, import.meta.url))

async function faultOf(run: Promise<number>): Promise<CliFault> {
  try {
    await run
  } catch (thrown) {
    if (thrown instanceof CliFault) return thrown
    throw thrown
  }
  throw new Error('it did not fail')
}

describe('check', () => {
  const good =
    'sources:\n  weixin: { provider: wechat, appid: wx1, secret: "${S}" }\n  js: { provider: wechat-ticket, of: weixin }\n'
  test('0 and a summary on stdout for a valid configuration', async () => {
    write('zhongkong.yaml', good)
    write('.env', 'S=hunter2')
    const io = terminal()
    expect(await check(input([]), io)).toBe(0)
    expect(io.stderr).toEqual([])
    expect(io.stdout[0]).toBe('zhongkong.yaml is valid')
    expect(io.stdout.join('\n')).toMatch(/listen +127\.0\.0\.1:8888 \(this machine only\)/)
    expect(io.stdout.join('\n')).toMatch(/js +wechat-ticket of weixin/)
  })
  test('2, every problem on stderr and nothing on stdout for a wrong one', async () => {
    write('zhongkong.yaml', `${good}serve: 1\nstore: x\n`)
    const io = terminal()
    expect(await check(input([]), io)).toBe(2)
    expect(io.stdout).toEqual([])
    expect(io.stderr.filter((line) => line.startsWith('zhongkong.yaml:'))).toEqual([
      'zhongkong.yaml:2:52 error sources.weixin.secret',
      'zhongkong.yaml:4:1 error serve',
      'zhongkong.yaml:5:8 error store',
      'zhongkong.yaml: 3 errors',
    ])
  })
  test('the store is shown without its password, wherever that came from', async () => {
    const url = 'postgres://zk:${S}@db/tokens?sslmode=require'
    write('zhongkong.yaml', `${good}encryption_key: "\${K}"\nstore: "${url}"\n`)
    write('.env', `S=hunter2\nK=${'0123456789abcdef'.repeat(3)}fedcba9876543210\n`)
    for (const options of [{}, { json: true }]) {
      const io = terminal()
      expect(await check(input([], options), io)).toBe(0)
      expect(io.stdout.join('\n')).toContain('postgres://***@db/tokens?sslmode=require')
      expect(io.stdout.join('\n')).not.toContain('hunter2')
    }
  })
  test('2 for a file that is not there', async () => {
    const io = terminal()
    expect(await check(input([], { config: 'none.yaml' }), io)).toBe(2)
    expect(io.stderr.join('\n')).toContain('none.yaml:1:1 error')
  })
  test('0 with warnings told, for secrets in the file', async () => {
    write('zhongkong.yaml', good.replace('${S}', 'hunter2hunter2'))
    const io = terminal()
    expect(await check(input([]), io)).toBe(0)
    expect(io.stdout[0]).toBe('zhongkong.yaml is valid (1 warning)')
    expect(io.stderr.join('\n')).toContain('${WEIXIN_SECRET}')
    expect([...io.stderr, ...io.stdout].join('\n')).not.toContain('hunter2')
  })
  test('--json is one JSON document with codes, places and both languages', async () => {
    write('zhongkong.yaml', 'serve: 1')
    const io = terminal('zh')
    expect(await check(input([], { json: true }), io)).toBe(2)
    expect(io.stderr).toEqual([])
    expect(JSON.parse(io.stdout.join('\n'))).toMatchObject({
      ok: false,
      file: 'zhongkong.yaml',
      issues: [
        {
          severity: 'error',
          code: 'key_unknown',
          file: 'zhongkong.yaml',
          line: 1,
          column: 1,
          fix: { en: 'Did you mean "server"?' },
        },
      ],
      summary: null,
    })
  })
  test.each(['en', 'zh'] as const)('no line is wider than the terminal (%s)', async (language) => {
    const long = 'a'.repeat(50)
    write(
      'zhongkong.yaml',
      `server: { listen: "0.0.0.0:1" }\nstore: sqlite:${long}${long}\nsources:\n  ${long}: { provider: wechat, appid: wx1, secret: s }\n  b: { provider: wechat-ticket, of: ${long} }\n`,
    )
    const wrong = terminal(language)
    expect(await check(input([]), wrong)).toBe(2)
    write('zhongkong.yaml', readFileSync(join(directory, 'zhongkong.yaml'), 'utf8').replace('0.0.0.0', '127.0.0.1'))
    const right = terminal(language)
    expect(await check(input([]), right)).toBe(0)
    // The lines of the file itself are shown as they are.
    const lines = [...wrong.stderr, ...right.stderr, ...right.stdout].filter(
      (line) => !/^ +\d* +\|/.test(line) && !/^zhongkong.yaml:\d/.test(line),
    )
    expect(lines.length).toBeGreaterThan(15)
    for (const line of lines.flatMap((one) => one.split('\n'))) expect(widthOf(line), line).toBeLessThanOrEqual(80)
  })
})

describe('import', () => {
  test('writes the configuration and .env, says so, and the result passes check', async () => {
    const io = terminal()
    expect(await importCommand(input([fixture('tokenboy')]), io)).toBe(0)
    expect(statSync(join(directory, '.env')).mode & 0o777).toBe(0o600)
    expect(io.stdout.join('\n')).toContain('wrote .env (1 secret; only you can read it)')
    expect(io.stdout.slice(-2)).toEqual(['  zhongkong check', '  zhongkong serve'])
    const checked = terminal()
    expect(await check(input([]), checked)).toBe(0)
    expect(checked.stderr).toEqual([])
  })
  test.each(['en', 'zh'] as const)(
    'no line is wider than the terminal, and no secret is in it (%s)',
    async (language) => {
      const io = terminal(language)
      await importCommand(input([fixture('wechat-token-server')], { out: 'new' }), io)
      const lines = io.stdout.filter((line) => !line.includes('fixtures'))
      for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(80)
      expect(io.stdout.join('\n')).not.toContain('a-secret-of-the-callers')
      expect(io.stdout.join('\n')).toContain('zhongkong check -c new/zhongkong.yaml')
    },
  )
  test('nothing is written when one of the files is there', async () => {
    write('.env', 'KEEP=1')
    const fault = await faultOf(importCommand(input([fixture('tokenboy')]), terminal()))
    expect(fault.exitCode).toBe(2)
    expect(readFileSync(join(directory, '.env'), 'utf8')).toBe('KEEP=1')
    expect(existsSync(join(directory, 'zhongkong.yaml'))).toBe(false)
  })
  test('a dangling link counts as there: what it points at is not written', async () => {
    symlinkSync(join(directory, 'elsewhere'), join(directory, '.env'))
    expect((await faultOf(importCommand(input([fixture('tokenboy')]), terminal()))).exitCode).toBe(2)
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false)
  })
  test('--force keeps every old file, however often', async () => {
    write('.env', 'FIRST=1')
    write('zhongkong.yaml', 'first')
    await importCommand(input([fixture('tokenboy')], { force: true }), terminal())
    await importCommand(input([fixture('tokenboy')], { force: true }), terminal())
    expect(readFileSync(join(directory, '.env.old'), 'utf8')).toBe('FIRST=1')
    expect(readFileSync(join(directory, 'zhongkong.yaml.old'), 'utf8')).toBe('first')
    expect(readFileSync(join(directory, '.env.old2'), 'utf8')).toContain('WEIXIN_SECRET')
    expect(statSync(join(directory, '.env.old2')).mode & 0o777).toBe(0o600)
  })
  test.each<[string, string | Uint8Array, RegExp]>([
    ['is no Python', "token_sources = {'a': 'x", /^config\.py:1:23 /],
    ['is neither', 'x = 1', /^config\.py:1:1 /],
    ['is no text', new Uint8Array([0, 1]), /not a text file/],
    ['is too large', 'x'.repeat(2_000_000), /too large/],
  ])('2 for a file that %s, with its place', async (_, text, expected) => {
    writeFileSync(join(directory, 'config.py'), text)
    const fault = await faultOf(importCommand(input(['config.py']), terminal()))
    expect(fault.exitCode).toBe(2)
    expect(fault.text.en).toMatch(expected)
    expect(fault.text.zh).toMatch(/[\u4e00-\u9fff]/)
    expect(existsSync(join(directory, 'zhongkong.yaml'))).toBe(false)
  })
  test('2 for a file that is not there, 1 for a directory that cannot be written', async () => {
    expect((await faultOf(importCommand(input(['none.py']), terminal()))).exitCode).toBe(2)
    write('blocked', 'a file where the directory should be')
    expect((await faultOf(importCommand(input([fixture('tokenboy')], { out: 'blocked' }), terminal()))).exitCode).toBe(
      1,
    )
  })
})

describe('key', () => {
  const outside = (line = ''): Parameters<typeof runKey>[2] => ({
    bytes: (length) => new Uint8Array(length).fill(255),
    readLine: async () => line,
  })
  const allow = (text: string | string[]): CommandInput['options'] => ({ allow: text as string })

  test('new prints a key of 256 bits once, and lines that the configuration takes', async () => {
    const io = terminal()
    expect(await runKey(input(['new', 'shop'], allow('read:weixin,read:weixin_*,refresh:weixin')), io, outside())).toBe(
      0,
    )
    const [key, ...lines] = io.stdout
    expect(key).toMatch(/^zk_[A-Za-z0-9_-]{43}$/)
    expect(lines).toEqual([
      'clients:',
      '  shop:',
      expect.stringMatching(/^ {4}key: sha256:[0-9a-f]{64}$/),
      '    read: [weixin, "weixin_*"]',
      '    refresh: [weixin]',
    ])
    expect([...lines, ...io.stderr].join('\n')).not.toContain(key)
    write(
      'zhongkong.yaml',
      `sources: { weixin: { provider: wechat, appid: x, secret: "\${S}" }, weixin_js: { provider: wechat-ticket, of: weixin } }\n${lines.join('\n')}\n`,
    )
    write('.env', 'S=1')
    const checked = terminal()
    expect(await check(input([]), checked)).toBe(0)
    expect(checked.stderr).toEqual([])
    const hashed = terminal()
    await runKey(input(['hash']), hashed, outside(`${key ?? ''}\n`))
    expect(lines[2]).toContain(hashed.stdout[0])
  })
  test('two keys are never the same', async () => {
    const keys = new Set<string | undefined>()
    for (let round = 0; round < 20; round += 1) {
      const io = terminal()
      await runKey(input(['new', 'a'], allow('admin')), io, {
        ...outside(),
        bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      })
      keys.add(io.stdout[0])
    }
    expect(keys.size).toBe(20)
  })
  test('rights may be given in several words and several times', async () => {
    const io = terminal()
    await runKey(input(['new', 'a'], { ...allow(['read', 'gateway:x,admin']), json: true }), io, outside())
    expect(JSON.parse(io.stdout[0] ?? '')).toMatchObject({
      client: { a: { read: ['*'], refresh: [], gateway: ['x'], admin: true } },
    })
  })
  test.each<[CommandInput['args'], CommandInput['options'], string]>([
    [['new'], allow('read'), ''],
    [['new', 'a b'], allow('read'), ''],
    [['new', 'a'], {}, ''],
    [['new', 'a'], allow(''), ''],
    [['new', 'a'], allow('write:x'), ''],
    [['new', 'a'], allow('read:a b'), ''],
    [['new', 'a'], allow('admin:x'), ''],
    [['old', 'a'], {}, ''],
    [['hash', 'zk_canary'], {}, ''],
    [['hash'], {}, ''],
    [['hash'], {}, 'zk_canary zk_canary'],
    [['hash'], {}, 'zk_canary\nzk_canary'],
  ])('2 for %j %j', async (args, options, line) => {
    const fault = await faultOf(runKey(input(args, options), terminal(), outside(line)))
    expect(fault.exitCode).toBe(2)
    expect(`${fault.text.en}${fault.fix?.en ?? ''}`).not.toContain('canary')
  })
  test('hash prints the hash alone, and warns of a key that can be guessed', async () => {
    const io = terminal('zh')
    expect(await runKey(input(['hash']), io, outside('hunter2\r\n'))).toBe(0)
    expect(io.stdout).toEqual(['sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7'])
    expect(io.stderr.join('')).toContain('猜到')
    expect(io.stderr.join('')).not.toContain('hunter2')
  })
})
