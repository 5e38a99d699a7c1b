/** `zhongkong get`: prints a token from a running server; with `--watch` each new one as it comes. */
import type { Text } from '../../base/text.ts'
import { backoffMs } from '../../base/backoff.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { faultLines } from '../fault.ts'
import { argument, flagOption, numberOption } from '../option.ts'
import { pause } from '../pause.ts'
import { remoteServer, type Remote } from '../remote.ts'
import type { TokenAnswer } from '../../wire/v1.ts'

export const name = 'get'

export const summary: Text = {
  en: 'print the token of a source, from a running server',
  zh: '从运行中的服务器读取某个来源的令牌',
}

export const args: readonly CommandArgument[] = [
  { name: 'name', required: true, summary: { en: 'the source', zh: '来源名称' } },
]

export const options: readonly CommandOption[] = [
  { flags: '--json', summary: { en: 'print the whole answer as JSON', zh: '以 JSON 输出完整应答' } },
  {
    flags: '--min-ttl <seconds>',
    summary: {
      en: 'at least this many seconds left, refreshing first if need be',
      zh: '令牌至少还要有效这么多秒，不足则先刷新',
    },
  },
  { flags: '--watch', summary: { en: 'go on: print each new token as it comes', zh: '持续运行，每次有新令牌就输出' } },
]

export const notes: Text = {
  en: `The server is ZHONGKONG_URL (http://127.0.0.1:8888), the key ZHONGKONG_KEY.

Example:
  TOKEN=$(zhongkong get weixin)`,
  zh: `服务器：ZHONGKONG_URL（默认 http://127.0.0.1:8888）；密钥：ZHONGKONG_KEY。

示例：
  TOKEN=$(zhongkong get weixin)`,
}

/** How long one question for a newer version waits, in seconds. */
const waitSeconds = 30
const retry = { baseMs: 1_000, capMs: 30_000 }

export async function run(input: CommandInput, io: Io): Promise<number> {
  const source = argument(input, 0)
  const minTtlSeconds = numberOption(input, 'minTtl', { min: 0, max: 86_400 * 365 })
  const remote = remoteServer(io)
  const print = (answer: TokenAnswer): void => {
    io.out(flagOption(input, 'json') ? JSON.stringify(answer) : answer.token)
  }
  if (flagOption(input, 'watch')) return await watch({ remote, source, minTtlSeconds, io, print })
  const found = await remote.token(source, { minTtlSeconds })
  if (found !== null) print(found.answer)
  return 0
}

type Watch = {
  readonly remote: Remote
  readonly source: string
  readonly minTtlSeconds: number | undefined
  readonly io: Io
  readonly print: (answer: TokenAnswer) => void
}

/** The first question must be answered; after that, a server that is away is waited for. */
async function watch({ remote, source, minTtlSeconds, io, print }: Watch): Promise<number> {
  let shown = await remote.token(source, { minTtlSeconds })
  if (shown === null) return 0
  print(shown.answer)
  let failures = 0
  const isOver = (): boolean => io.signal.aborted
  while (!isOver()) {
    try {
      const found = await remote.token(source, { waitSeconds, etag: shown.etag })
      failures = 0
      if (found === null) continue
      if (found.answer.version !== shown.answer.version) print(found.answer)
      // A server that does not wait must not be asked without pause.
      else await pause(retry.baseMs, io.signal)
      shown = found
    } catch (thrown) {
      if (isOver()) break
      failures += 1
      if (failures === 1) for (const line of faultLines(thrown, io.language).lines) io.err(line)
      await pause(backoffMs(failures, retry, Math.random()), io.signal)
    }
  }
  return 0
}
