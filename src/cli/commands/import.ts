/** `zhongkong import`: turns a TokenBoy or wechat-token-server `config.py` into `zhongkong.yaml` and `.env`. */
import { basename, join, relative, resolve } from 'node:path'
import type { Text } from '../../base/text.ts'
import { readRealFile } from '../../config/read-file.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { CliFault, usage } from '../fault.ts'
import { readLegacy, type LegacyConfig } from '../import/legacy.ts'
import { decodePython } from '../import/python-encoding.ts'
import { ImportFault } from '../import/python-tokens.ts'
import { newFiles, type NewFiles } from '../import/write-config.ts'
import { argument, flagOption, textOption } from '../option.ts'
import { schemaReference } from '../schema-reference.ts'
import { pad, printable, widthOf, wrap } from '../terminal.ts'
import { writeNewFiles, type NewFile } from '../write-new-files.ts'

export const name = 'import'

export const summary: Text = {
  en: 'take over a config.py of TokenBoy or wechat-token-server',
  zh: '导入 TokenBoy 或 wechat-token-server 的 config.py',
}

export const args: readonly CommandArgument[] = [
  { name: 'file', required: true, summary: { en: 'the config.py', zh: 'config.py 文件' } },
]

export const options: readonly CommandOption[] = [
  { flags: '--out <dir>', summary: { en: 'write there (default: here)', zh: '输出目录（默认当前目录）' } },
  {
    flags: '--force',
    summary: { en: 'replace files that are there; they are kept as *.old', zh: '替换已有文件，旧文件另存为 *.old' },
  },
]

export const notes: Text = {
  en: 'The file is read, never run. Secrets go to .env, which only you can read.',
  zh: '只读取文件内容，不会执行。密钥写入仅本人可读的 .env。',
}

const fileBytesMax = 1_048_576

export async function run(input: CommandInput, io: Io): Promise<number> {
  const file = argument(input, 0)
  const directory = resolve(io.directory, textOption(input, 'out') ?? '.')
  const path = resolve(io.directory, file)
  const legacy = await readLegacyFile(path, file)
  const files = newFiles(legacy, {
    language: io.language,
    schema: schemaReference(directory),
    from: printable(basename(path)),
  })
  const written: NewFile[] = [{ path: join(directory, 'zhongkong.yaml'), text: files.yaml, mode: 0o644 }]
  // Secrets first: a configuration without them would be of no use.
  if (files.environment !== null)
    written.unshift({ path: join(directory, '.env'), text: files.environment, mode: 0o600 })
  const kept = await writeNewFiles(written, { replace: flagOption(input, 'force') })
  for (const line of reportLines({ legacy, files, written, kept, directory, file }, io)) io.out(line)
  return 0
}

async function readLegacyFile(path: string, shown: string): Promise<LegacyConfig> {
  let bytes: Uint8Array
  try {
    bytes = (await readRealFile(path, fileBytesMax)).bytes
  } catch (thrown) {
    throw new CliFault(2, { en: `${shown} cannot be read`, zh: `无法读取 ${shown}` }, null, thrown)
  }
  if (bytes.length > fileBytesMax)
    throw usage({ en: `${shown} is too large for a config.py`, zh: `${shown} 过大，不像是 config.py` })
  const source = decodePython(bytes)
  if (source === null) throw usage({ en: `${shown} is not a text file`, zh: `${shown} 不是文本文件` })
  try {
    return readLegacy(source)
  } catch (thrown) {
    if (!(thrown instanceof ImportFault)) throw thrown
    const { place, text } = thrown
    const at = `${shown}:${place.line}:${place.column} `
    throw usage({ en: `${at}${text.en}`, zh: `${at}${text.zh}` })
  }
}

type Report = {
  readonly legacy: LegacyConfig
  readonly files: NewFiles
  readonly written: readonly NewFile[]
  readonly kept: readonly string[]
  readonly directory: string
  readonly file: string
}

function reportLines({ legacy, files, written, kept, directory, file }: Report, io: Io): string[] {
  const say = (text: Text): string => text[io.language]
  const short = (path: string): string => relative(io.directory, path) || path
  const titles = { tokenboy: 'TokenBoy', 'wechat-token-server': 'wechat-token-server' } as const
  const count = files.sources.length
  const head: Text = {
    en: `${file}: ${titles[legacy.flavour]}, ${count} ${count === 1 ? 'source' : 'sources'}`,
    zh: `${file}：${titles[legacy.flavour]}，${count} 个来源`,
  }
  const widest = Math.min(32, Math.max(0, ...files.sources.map((source) => widthOf(source.name))))
  const sources = files.sources.map((source) => `  ${pad(source.name, widest)}  ${source.what}`)
  const wrote = written.map(({ path, mode }) => {
    const secrets: Text = {
      en: ` (${files.secrets} ${files.secrets === 1 ? 'secret' : 'secrets'}; only you can read it)`,
      zh: `（${files.secrets} 个密钥，仅本人可读）`,
    }
    return `${say({ en: 'wrote', zh: '已写入' })} ${short(path)}${mode === 0o600 ? say(secrets) : ''}`
  })
  const old = kept.map((path) => say({ en: `kept the old one as ${short(path)}`, zh: `旧文件另存为 ${short(path)}` }))
  const expected: Text[] = files.expected.map((variable) => ({
    en: `Set ${variable} in the environment or in .env, as the old program needed it.`,
    zh: `请在环境变量或 .env 中设置 ${variable}，原程序也需要它。`,
  }))
  const perSource = files.sources.flatMap((source) =>
    source.remarks.map((remark) => ({ en: `${source.name}: ${remark.en}.`, zh: `${source.name}：${remark.zh}。` })),
  )
  const remarks = [...files.remarks, ...expected, ...perSource].map(say)
  const bullets = remarks.flatMap((text) =>
    wrap(text, io.columns - 2)
      .split('\n')
      .map((line, index) => (index === 0 ? `- ${line}` : `  ${line}`)),
  )
  const yaml = short(join(directory, 'zhongkong.yaml'))
  const flag = yaml === 'zhongkong.yaml' ? '' : ` -c ${yaml}`
  const next = say({ en: 'Next:', zh: '下一步：' })
  return [
    say(head),
    ...sources,
    '',
    ...wrote,
    ...old,
    ...(bullets.length === 0 ? [] : ['', ...bullets]),
    '',
    next,
    `  zhongkong check${flag}`,
    `  zhongkong serve${flag}`,
  ]
}
