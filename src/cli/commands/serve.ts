/** `zhongkong serve`: the server, from its configuration file until a signal. */
import type { Text } from '../../base/text.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { configPath, printIssues, readConfig, type ConfigPlace } from '../config-file.ts'
import { recordingFiles } from '../config-snapshot.ts'
import { portOption, textOption } from '../option.ts'

export const name = 'serve'

export const summary: Text = {
  en: 'run the server',
  zh: '运行服务器',
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
    flags: '--listen <host:port>',
    summary: { en: 'listen here instead of server.listen', zh: '监听地址，优先于 server.listen' },
  },
  { flags: '--store <url>', summary: { en: 'use this store instead of store', zh: '存储位置，优先于 store' } },
]

export const notes: Text = {
  en: `Prints "zhongkong ready on http://HOST:PORT" on stdout once it answers; logs go
to stderr. SIGHUP, or saving the file, reloads sources and clients: whole, or
not at all. SIGTERM and Ctrl-C finish what is under way and end within ten
seconds.`,
  zh: `就绪后在标准输出打印 "zhongkong ready on http://HOST:PORT"；日志写到标准错误。
收到 SIGHUP 或保存配置文件后，重新加载来源和客户端，有错则全部不生效。
收到 SIGTERM 或按 Ctrl-C 后，处理完进行中的请求，十秒内退出。`,
}

export const outlivesReader = true

export async function run(input: CommandInput, io: Io): Promise<number> {
  const [listen, store] = [textOption(input, 'listen'), textOption(input, 'store')]
  const place: ConfigPlace = {
    path: configPath(io, textOption(input, 'config')),
    overrides: { ...(listen === undefined ? {} : { listen }), ...(store === undefined ? {} : { store }) },
  }
  const { files, readFile } = recordingFiles()
  const { config, issues } = await readConfig(place, io, readFile)
  if (config === null) {
    printIssues(issues, io)
    return 2
  }
  const port = portOption(input)
  const serving = { config, place, io, warnings: issues, ...(port === undefined ? {} : { port }) }
  // Loaded late, so that a wrong configuration is told without loading the whole server.
  if (config.server.workers === 1) return await (await import('../serving.ts')).serve(serving)
  return await (await import('../supervisor.ts')).supervise({ ...serving, files })
}
