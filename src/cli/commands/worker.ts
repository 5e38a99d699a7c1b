/** What a server with several workers runs for each of them. */
import cluster from 'node:cluster'
import type { Text } from '../../base/text.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { usage } from '../fault.ts'

export const name = 'worker'

export const summary: Text = {
  en: 'what serve runs for each of several workers',
  zh: 'serve 为每个工作进程所执行的命令',
}

export const args: readonly CommandArgument[] = []
export const options: readonly CommandOption[] = []
export const isInternal = true
export const outlivesReader = true

export async function run(_input: CommandInput, io: Io): Promise<number> {
  if (!cluster.isWorker) {
    throw usage(
      { en: 'workers are started by zhongkong serve', zh: '工作进程由 zhongkong serve 启动' },
      { en: 'Set server.workers, then run: zhongkong serve', zh: '请设置 server.workers，再运行：zhongkong serve' },
    )
  }
  const { work } = await import('../worker.ts')
  return await work(io)
}
