/** `zhongkong simulate`: the simulated upstreams alone, for other people's tests. */
import type { Text } from '../../base/text.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { numberOption, portOption } from '../option.ts'

export const name = 'simulate'

export const summary: Text = {
  en: 'the upstream simulator alone, for tests and CI',
  zh: '单独运行上游模拟器，用于测试和 CI',
}

export const args: readonly CommandArgument[] = []

export const options: readonly CommandOption[] = [
  {
    flags: '--port <n>',
    summary: { en: 'the port; 0: any free one', zh: '端口；0 表示任意空闲端口' },
    defaultValue: '8889',
  },
  {
    flags: '--ttl <seconds>',
    summary: { en: 'lifetime of the tokens it issues', zh: '所签发令牌的有效期，单位为秒' },
    defaultValue: '7200',
  },
]

export const notes: Text = {
  en: `Point base_url of a source (or the base URL of an SDK) at it. Accounts, faults,
lifetimes and counters are switched at /_simulator/: see docs/simulator.md.

Example:
  zhongkong simulate --ttl 60
  curl 'http://127.0.0.1:8889/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=demo-wechat-secret'
  curl -X POST http://127.0.0.1:8889/_simulator/accounts \\
       -d '{"kind":"wechat","id":"wx2","secret":"s"}'`,
  zh: `把来源的 base_url（或 SDK 的接口地址）指向它即可。账号、故障、有效期和计数器
通过 /_simulator/ 控制，参见 docs/simulator.md。

示例：
  zhongkong simulate --ttl 60
  curl 'http://127.0.0.1:8889/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=demo-wechat-secret'
  curl -X POST http://127.0.0.1:8889/_simulator/accounts \\
       -d '{"kind":"wechat","id":"wx2","secret":"s"}'`,
}

export const outlivesReader = true

export async function run(input: CommandInput, io: Io): Promise<number> {
  const port = portOption(input) ?? 8_889
  const ttlSeconds = numberOption(input, 'ttl', { min: 1, max: 1_000_000_000 }) ?? 7_200
  const { runSimulator } = await import('../simulate-run.ts')
  return await runSimulator({ port, ttlSeconds }, io)
}
