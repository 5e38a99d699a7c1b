/** `zhongkong demo`: simulated upstreams and the server in one process, to see it work without any account. */
import type { Text } from '../../base/text.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { portOption } from '../option.ts'

export const name = 'demo'

export const summary: Text = {
  en: 'try it: a server on simulated upstreams, no account needed',
  zh: '演示：在一个进程里运行模拟上游和服务器，无需账号',
}

export const args: readonly CommandArgument[] = []

export const options: readonly CommandOption[] = [
  {
    flags: '--port <n>',
    summary: { en: 'the port; the next free one when it is taken', zh: '端口；被占用时改用下一个空闲端口' },
    defaultValue: '8888',
  },
]

export const outlivesReader = true

export async function run(input: CommandInput, io: Io): Promise<number> {
  const port = portOption(input) ?? 8_888
  const { runDemo } = await import('../demo-run.ts')
  return await runDemo(port, io)
}
