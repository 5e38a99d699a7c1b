/** `zhongkong authorize`: makes the link by which a person authorises a source, and waits until somebody has done so. */
import { backoffMs } from '../../base/backoff.ts'
import { formatDuration } from '../../base/duration.ts'
import { realClock } from '../../base/real-env.ts'
import type { Text } from '../../base/text.ts'
import type { SourceAnswer } from '../../wire/v1.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { CliFault, faultLines, usage } from '../fault.ts'
import { argument, textOption } from '../option.ts'
import { pause } from '../pause.ts'
import { remoteServer, type Remote } from '../remote.ts'
import { wrap } from '../terminal.ts'

export const name = 'authorize'

export const summary: Text = {
  en: 'make the link by which a person authorises a source, and wait until it is done',
  zh: '生成供他人打开的授权链接，并等待授权完成',
}

export const args: readonly CommandArgument[] = [
  { name: 'name', required: true, summary: { en: 'the source', zh: '来源名称' } },
]

export const options: readonly CommandOption[] = [
  {
    flags: '--device <kind>',
    summary: {
      en: 'desktop or mobile: which page of the platform; otherwise the browser decides',
      zh: 'desktop 或 mobile：打开平台的哪种页面；默认由浏览器决定',
    },
  },
  { flags: '--no-wait', summary: { en: 'print the link and end', zh: '只输出链接，不等待' } },
]

export const notes: Text = {
  en: `The server is ZHONGKONG_URL (http://127.0.0.1:8888), the key ZHONGKONG_KEY,
which must be an admin's. The link is good once and needs no key: send it to
whoever owns the account.`,
  zh: `服务器：ZHONGKONG_URL（默认 http://127.0.0.1:8888）
密钥：ZHONGKONG_KEY，须为管理员密钥。
链接只能使用一次，打开它无需密钥：请发给账号的所有者。`,
}

const pollMs = 2_000
const retry = { baseMs: 1_000, capMs: 15_000 }

export async function run(input: CommandInput, io: Io): Promise<number> {
  const source = argument(input, 0)
  const device = textOption(input, 'device')
  if (device !== undefined && device !== 'desktop' && device !== 'mobile') {
    throw usage(
      {
        en: `--device is "${device}"; it must be desktop or mobile`,
        zh: `--device 的值 "${device}" 应为 desktop 或 mobile`,
      },
      null,
    )
  }
  const remote = remoteServer(io)
  // What counts as done is a change, so the state of before comes first.
  const before = await remote.source(source)
  const { url, expires_in: seconds } = await remote.authorize(source, device)
  const say = (text: Text): void => {
    for (const line of wrap(text[io.language], Math.min(io.columns, 80)).split('\n')) io.err(line)
  }
  const left = formatDuration(seconds * 1_000)
  say({
    en: `Open this link, or send it to whoever owns the account. It is good once, for ${left}:`,
    zh: `请打开以下链接，或发给账号的所有者。链接只能使用一次，${left} 内有效：`,
  })
  // On a line of its own and whole, so that it can be copied and piped.
  io.out(url)
  if (input.options.wait === false) return 0
  say({ en: 'Waiting for the authorisation…', zh: '正在等待授权完成…' })
  const isDone = await waitFor(remote, { source, before, untilMs: realClock.monotonic() + seconds * 1_000, io })
  if (io.signal.aborted) return 1
  if (!isDone) {
    throw new CliFault(
      1,
      { en: `nobody authorised ${source} in time`, zh: `${source} 未在有效时间内完成授权` },
      { en: 'Make another link with the same command.', zh: '可用同一命令重新生成链接。' },
    )
  }
  say({ en: `${source} is authorised.`, zh: `${source} 已完成授权。` })
  return 0
}

type Waiting = {
  readonly source: string
  readonly before: SourceAnswer
  readonly untilMs: number
  readonly io: Io
}

/** Looks every two seconds. A server that is away for a while is waited for. */
async function waitFor(remote: Remote, { source, before, untilMs, io }: Waiting): Promise<boolean> {
  let failures = 0
  while (realClock.monotonic() < untilMs) {
    const waitMs = failures === 0 ? pollMs : backoffMs(failures, retry, Math.random())
    if (!(await pause(waitMs, io.signal))) return false
    try {
      if (isAuthorized(before, await remote.source(source))) return true
      failures = 0
    } catch (thrown) {
      if (io.signal.aborted) return false
      failures += 1
      if (failures === 1) for (const line of faultLines(thrown, io.language).lines) io.err(line)
    }
  }
  return false
}

/** A later authorisation is known, or the source has a token that it could not have without one. */
function isAuthorized(before: SourceAnswer, now: SourceAnswer): boolean {
  if ((now.authorized_at ?? 0) > (before.authorized_at ?? 0)) return true
  const wasWaiting = before.state === 'needs-authorization'
  return wasWaiting && now.state !== 'needs-authorization' && now.version > before.version
}
