/** `zhongkong check`: everything that is wrong with a configuration, each with its place and a fix. */
import { relative } from 'node:path'
import { realEnv } from '../../base/real-env.ts'
import type { Text } from '../../base/text.ts'
import type { Config, ConfigIssue } from '../../config/config.ts'
import { shownStore } from '../../config/store-url.ts'
import { isTrouble, onlineLines, summaryLines } from '../check-report.ts'
import { checkOnline, type OnlineFindings } from '../check-online.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { configPath, printIssues, readConfig } from '../config-file.ts'
import { flagOption, textOption } from '../option.ts'
import type { Notice } from '../../stores/store.ts'

export const name = 'check'

export const summary: Text = {
  en: 'check the configuration; every problem with its place and a fix',
  zh: '检查配置，逐条指出问题的位置与解决办法',
}

export const args: readonly CommandArgument[] = []

export const options: readonly CommandOption[] = [
  {
    flags: '-c, --config <file>',
    summary: {
      en: 'the configuration (ZHONGKONG_CONFIG, or zhongkong.yaml here)',
      zh: '配置文件（未指定时用 ZHONGKONG_CONFIG，再用当前目录的 zhongkong.yaml）',
    },
  },
  {
    flags: '--online',
    summary: {
      en: 'also ask each upstream once, and look at the clock and the store',
      zh: '另外向每个上游实际请求一次，并检查时钟与存储',
    },
  },
  { flags: '--json', summary: { en: 'print as JSON', zh: '以 JSON 输出' } },
]

export const notes: Text = {
  en: `Exit code: 0 valid (warnings or not), 2 not valid, 1 valid but --online found
trouble. --online never retires a token in use: a classic WeChat token is only
asked for when the store holds none.`,
  zh: `退出码：0 配置正确（可能有警告），2 配置有误，1 配置正确但 --online 发现问题。
--online 不会使正在使用的令牌失效：微信 classic 模式的令牌，仅当存储中没有时才会
获取。`,
}

export async function run(input: CommandInput, io: Io): Promise<number> {
  const path = configPath(io, textOption(input, 'config'))
  const shown = relative(io.directory, path)
  const read = await readConfig({ path, overrides: {} }, io)
  const issues = read.issues.map((issue) => ({ ...issue, file: shortened(issue.file, io) }))
  const { config } = read
  const isOnline = flagOption(input, 'online') && config !== null
  if (flagOption(input, 'json')) {
    const online = isOnline ? await askOnline(config, io) : null
    io.out(JSON.stringify(jsonReport(shown, config, { issues, online }), null, 2))
    return exitCode(config, online)
  }
  printIssues(issues, io)
  if (issues.length > 0) io.err('')
  const verdict = verdictOf(shown, issues)[io.language]
  if (config === null) {
    io.err(verdict)
    return 2
  }
  io.out(verdict)
  for (const line of summaryLines(config, io)) io.out(line)
  if (!isOnline) return 0
  io.out('')
  io.out({ en: 'Online:', zh: '在线检查：' }[io.language])
  const online = await askOnline(config, io)
  for (const line of onlineLines(online, io)) io.out(line)
  return exitCode(config, online)
}

/** The file as people would name it from here. */
function shortened(file: string, io: Io): string {
  const path = relative(io.directory, file)
  return file.startsWith('--') || path.startsWith('..') || path === '' ? file : path
}

function verdictOf(file: string, issues: readonly ConfigIssue[]): Text {
  const errors = issues.filter(({ severity }) => severity === 'error').length
  const warnings = issues.length - errors
  const some = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`
  const and: Text = {
    en: warnings === 0 ? '' : `${errors > 0 ? ', ' : ' ('}${some(warnings, 'warning')}${errors > 0 ? '' : ')'}`,
    zh: warnings === 0 ? '' : `${errors > 0 ? '，' : '（'}${warnings} 个警告${errors > 0 ? '' : '）'}`,
  }
  if (errors > 0) return { en: `${file}: ${some(errors, 'error')}${and.en}`, zh: `${file}：${errors} 个错误${and.zh}` }
  return { en: `${file} is valid${and.en}`, zh: `${file} 配置正确${and.zh}` }
}

function exitCode(config: Config | null, online: OnlineFindings | null): number {
  if (config === null) return 2
  return online !== null && isTrouble(online) ? 1 : 0
}

async function askOnline(config: Config, io: Io): Promise<OnlineFindings> {
  // Loaded late: a plain check needs neither a store's driver nor the network.
  const [{ issue }, { openStore }] = await Promise.all([
    import('../../providers/catalogue.ts'),
    import('../../stores/open-store.ts'),
  ])
  const env = realEnv()
  try {
    const outside = {
      env,
      issue,
      openStore: async ({ store, encryptionKey }: Config, onNotice: (notice: Notice) => void) =>
        await openStore({ url: store, encryptionKey, env, onNotice }),
    }
    return await checkOnline(config, outside, io.signal)
  } finally {
    await env.close()
  }
}

type Found = { readonly issues: readonly ConfigIssue[]; readonly online: OnlineFindings | null }

function jsonReport(file: string, config: Config | null, { issues, online }: Found): object {
  return {
    ok: config !== null,
    file,
    issues: issues.map(({ severity, code, file: at, line, column, path, message, fix }) => ({
      severity,
      code,
      file: at,
      line,
      column,
      path,
      message,
      fix,
    })),
    summary:
      config === null
        ? null
        : {
            listen: config.server.listen,
            store: shownStore(config.store),
            sources: config.sources.map(({ name: source, kind, needs }) => ({ name: source, provider: kind, needs })),
            clients: config.clients.map((client) => client.name),
          },
    online,
  }
}
