/** `zhongkong recover`: has a running server bring back the accounts under a source, part by part. */
import type { Text } from '../../base/text.ts'
import type { RecoveryAnswer } from '../../wire/v1.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { argument, numberOption } from '../option.ts'
import { remoteServer } from '../remote.ts'

export const name = 'recover'

export const summary: Text = {
  en: 'bring back the accounts that authorised a platform, from its own list',
  zh: '按平台自己的列表，恢复已授权给它的全部账号',
}

export const args: readonly CommandArgument[] = [
  { name: 'name', required: true, summary: { en: 'the source of the platform', zh: '第三方平台的来源名称' } },
]

export const options: readonly CommandOption[] = [
  {
    flags: '--from <n>',
    summary: { en: 'go on from there, as an earlier run said', zh: '从上次中断时提示的位置继续' },
    defaultValue: '0',
  },
]

export const notes: Text = {
  en: `Asks ZHONGKONG_URL with ZHONGKONG_KEY, which must be the key of an admin.
Sources that are missing are made, lost refresh tokens are put back, all others
stay as they are. It may be run again at any time.`,
  zh: `通过 ZHONGKONG_URL 与 ZHONGKONG_KEY 访问服务器，密钥须有 admin 权限。
缺少的来源会被创建，丢失的 refresh token 会被补回，其余保持不变。
可随时重复执行。`,
}

export async function run(input: CommandInput, io: Io): Promise<number> {
  const source = argument(input, 0)
  const server = remoteServer(io)
  let failures = 0
  let from = numberOption(input, 'from', { min: 0, max: 1_000_000_000 }) ?? 0
  while (!io.signal.aborted) {
    const part = await server.recover(source, from).catch((thrown: unknown) => {
      io.err(resume(source, from)[io.language])
      throw thrown
    })
    for (const { name: child, detail } of part.failed) io.err(`${child}: ${detail}`)
    failures += part.failed.length
    io.out(progress(part)[io.language])
    // A server that tells the same part for ever must not keep us here for ever.
    if (part.next === null || part.next <= from) return failures === 0 ? 0 : 1
    from = part.next
  }
  io.err(resume(source, from)[io.language])
  return 1
}

function progress({ total, next, made, mended, kept, failed }: RecoveryAnswer): Text {
  const done = next ?? total
  return {
    en: `${done} of ${total}: ${made} made, ${mended} mended, ${kept} as they were, ${failed.length} failed`,
    zh: `${done} / ${total}：新建 ${made}，修复 ${mended}，无需改动 ${kept}，失败 ${failed.length}`,
  }
}

function resume(source: string, from: number): Text {
  const command = `zhongkong recover ${source} --from ${from}`
  return { en: `To go on from here: ${command}`, zh: `从此处继续：${command}` }
}
