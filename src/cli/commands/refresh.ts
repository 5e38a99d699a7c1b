/** `zhongkong refresh`: asks a running server for a fresh token, and says whether there is one. */
import { formatDuration } from '../../base/duration.ts'
import type { Text } from '../../base/text.ts'
import type { RefreshAnswer } from '../../wire/v1.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { argument, flagOption, textOption } from '../option.ts'
import { remoteServer } from '../remote.ts'

export const name = 'refresh'

export const summary: Text = {
  en: 'ask the server to refresh the token of a source',
  zh: '请求服务器刷新某个来源的令牌',
}

export const args: readonly CommandArgument[] = [
  { name: 'name', required: true, summary: { en: 'the source', zh: '来源名称' } },
]

export const options: readonly CommandOption[] = [
  {
    flags: '--stale <token>',
    summary: {
      en: 'the token that failed: refresh only if it is still the current one',
      zh: '失效的令牌：仅当它仍是当前令牌时才刷新',
    },
  },
  {
    flags: '--json',
    summary: { en: 'print the whole answer, token included, as JSON', zh: '以 JSON 输出完整应答（含令牌）' },
  },
]

const reasons: Readonly<Record<NonNullable<RefreshAnswer['reason']>, Text>> = {
  not_current: { en: 'that token had been replaced already', zh: '该令牌此前已被替换' },
  recently_refreshed: { en: 'it was refreshed a moment ago', zh: '刚刚刷新过' },
  unchanged: { en: 'the upstream gave the same token again', zh: '上游返回了相同的令牌' },
  alive: { en: 'the platform says that it is alive', zh: '平台确认该令牌仍然有效' },
}

export async function run(input: CommandInput, io: Io): Promise<number> {
  const source = argument(input, 0)
  const answer = await remoteServer(io).refresh(source, textOption(input, 'stale'))
  io.out(flagOption(input, 'json') ? JSON.stringify(answer) : sentence(source, answer)[io.language])
  return 0
}

function sentence(source: string, answer: RefreshAnswer): Text {
  const left = formatDuration(answer.expires_in * 1_000)
  const now: Text = {
    en: `version ${answer.version}, ${left} left`,
    zh: `当前版本 ${answer.version}，剩余 ${left}`,
  }
  if (answer.refreshed) return { en: `${source}: refreshed; ${now.en}`, zh: `${source}：已刷新；${now.zh}` }
  const reason = answer.reason === undefined ? null : reasons[answer.reason]
  return {
    en: `${source}: not refreshed${reason === null ? '' : `, ${reason.en}`}; ${now.en}`,
    zh: `${source}：未刷新${reason === null ? '' : `，${reason.zh}`}；${now.zh}`,
  }
}
