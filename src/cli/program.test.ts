import { describe, expect, it } from 'vitest'
import { fakeIo } from '../../test/cli/fake-io.ts'
import type { CommandInput, CommandModule, Io } from './command.ts'
import { commands } from './commands.ts'
import { faultLines } from './fault.ts'
import { runProgram } from './program.ts'
import { widthOf } from './terminal.ts'

const seen: CommandInput[] = []
const get: CommandModule = {
  name: 'get',
  summary: { en: 'print a token', zh: '输出令牌' },
  args: [{ name: 'name', required: true, summary: { en: 'the source', zh: '来源' } }],
  options: [
    { flags: '--min-ttl <seconds>', summary: { en: 'seconds left', zh: '剩余秒数' } },
    { flags: '--port <n>', summary: { en: 'the port', zh: '端口' }, defaultValue: '8888' },
    { flags: '--json', summary: { en: 'a very long summary '.repeat(10), zh: '很长的说明文字'.repeat(15) } },
  ],
  run: (input) => {
    seen.push(input)
    return Promise.resolve(7)
  },
}
const hidden: CommandModule = { ...get, name: 'inner', isInternal: true }

async function run(argv: readonly string[], io: Io): Promise<number> {
  return await runProgram([get, hidden], argv, io, { version: '1.2.3' })
}

async function refused(
  argv: readonly string[],
  language: 'en' | 'zh',
): Promise<{ lines: readonly string[]; exitCode: number }> {
  try {
    await run(argv, fakeIo())
  } catch (thrown) {
    return faultLines(thrown, language)
  }
  throw new Error('nothing was refused')
}

describe('a command', () => {
  it('gets its arguments and options, and its exit code is the answer', async () => {
    seen.length = 0
    expect(await run(['get', 'weixin', '--min-ttl', '5', '--json'], fakeIo())).toBe(7)
    expect(seen).toEqual([{ args: ['weixin'], options: { minTtl: '5', port: '8888', json: true } }])
  })
})

describe('wrong usage is told with exit code 2 and what to do', () => {
  it.each([
    [['gte', 'x'], 'error: unknown command "gte"', '  Did you mean get?', '错误：未知命令 "gte"', '  是否想输入 get？'],
    [
      ['get', 'x', '--jsn'],
      'error: unknown option "--jsn"',
      '  Did you mean --json?',
      '错误：未知选项 "--jsn"',
      '  是否想输入 --json？',
    ],
    [
      ['get'],
      'error: missing argument <name>',
      '  See: zhongkong --help',
      '错误：缺少参数 <name>',
      '  参见：zhongkong --help',
    ],
    [
      ['get', 'x', '--min-ttl'],
      'error: option "--min-ttl <seconds>" needs a value',
      '  See: zhongkong --help',
      '错误：选项 "--min-ttl <seconds>" 后面需要一个值',
      '  参见：zhongkong --help',
    ],
    [
      ['get', 'x', 'y'],
      "error: too many arguments for 'get'. Expected 1 argument but got 2.",
      '  See: zhongkong --help',
      '错误：参数过多',
      '  参见：zhongkong --help',
    ],
  ])('%j', async (argv, ...expected) => {
    const [en, zh] = [await refused(argv, 'en'), await refused(argv, 'zh')]
    expect([...en.lines, ...zh.lines]).toEqual(expected)
    expect([en.exitCode, zh.exitCode]).toEqual([2, 2])
  })

  it('no command at all shows the help on stderr, with exit code 2', async () => {
    const io = fakeIo()
    expect(await run([], io)).toBe(2)
    expect(io.outLines).toEqual([])
    expect(io.errLines.join('\n')).toContain('Usage: zhongkong')
  })
})

describe('help', () => {
  it.each(['en', 'zh'] as const)('fits 80 columns (%s), and does not show internal commands', async (language) => {
    for (const argv of [['--help'], ['get', '--help'], ['help', 'get']]) {
      const io = fakeIo({ language })
      expect(await run(argv, io)).toBe(0)
      expect(io.errLines).toEqual([])
      expect(io.outLines.length).toBeGreaterThan(5)
      expect(io.outLines.join('\n')).not.toContain('inner')
      expect(Math.max(...io.outLines.map(widthOf))).toBeLessThanOrEqual(80)
    }
  })

  it.each(['en', 'zh'] as const)(
    'fits 80 columns for every command, but for what is to be pasted (%s)',
    async (language) => {
      for (const { name } of commands) {
        const io = fakeIo({ language })
        await runProgram(commands, [name, '--help'], io, { version: '1.2.3' })
        const wide = io.outLines.filter((line) => widthOf(line) > 80 && !line.startsWith('  curl '))
        expect(wide, name).toEqual([])
      }
    },
  )

  it('is Chinese throughout for who reads Chinese', async () => {
    const io = fakeIo({ language: 'zh' })
    await run(['get', '--help'], io)
    const text = io.outLines.join('\n')
    expect(text).toMatch(/^用法：zhongkong get \[选项\] <name>$/m)
    expect(text).toContain('选项：')
    expect(text).toContain('端口（默认：8888）')
    expect(text).not.toMatch(/Usage|Options|Arguments|default/)
  })

  it('has the version', async () => {
    const io = fakeIo()
    expect(await run(['--version'], io)).toBe(0)
    expect(io.outLines).toEqual(['1.2.3'])
  })
})
