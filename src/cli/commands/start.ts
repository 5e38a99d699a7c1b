/** What `npm start` runs: the server if there is a configuration, otherwise the demo. */
import type { Text } from '../../base/text.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { hasConfig } from '../config-file.ts'
import { endingWithParent } from '../parent.ts'
import * as demo from './demo.ts'
import * as serve from './serve.ts'

export const name = 'start'

export const summary: Text = {
  en: 'what npm start runs: serve with zhongkong.yaml, demo without',
  zh: 'npm start 所执行的命令：有 zhongkong.yaml 则 serve，否则 demo',
}

export const args: readonly CommandArgument[] = []

export const options: readonly CommandOption[] = [{ flags: '--port <n>', summary: { en: 'the port', zh: '端口' } }]

export const isInternal = true
export const outlivesReader = true

export async function run(input: CommandInput, io: Io): Promise<number> {
  return await (hasConfig(io) ? serve : demo).run(input, endingWithParent(io))
}
