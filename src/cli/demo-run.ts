/** Runs the demo until a signal. */
import { realEnv } from '../base/real-env.ts'
import type { Text } from '../base/text.ts'
import type { Config } from '../config/config.ts'
import { formatIssues } from '../config/format-issues.ts'
import { loadConfig } from '../config/load-config.ts'
import { createBus } from '../events/bus.ts'
import { logFault } from '../events/log.ts'
import { listen, type Listening } from '../http/listen.ts'
import type { Handler } from '../http/server.ts'
import { parseSource } from '../providers/catalogue.ts'
import { startSimulator } from '../simulator.ts'
import type { Io } from './command.ts'
import { demoLine } from './demo-event.ts'
import { demoConfig, demoUpstream } from './demo-config.ts'
import { CliFault } from './fault.ts'
import { listenFault } from './listen-address.ts'
import { aborted } from './pause.ts'
import { openLoggedNode, stopServing } from './running-node.ts'
import { stderrLog } from './stderr-log.ts'

/** So many ports are tried, beginning with the one that was asked for. */
const portsTried = 50

export async function runDemo(portWanted: number, io: Io): Promise<number> {
  const env = realEnv()
  const log = stderrLog(io)
  const upstream = await startSimulator({ accounts: demoUpstream })
  try {
    const config = await parsedConfig(demoConfig(upstream.url, portWanted))
    const bus = createBus((thrown) => logFault(log, thrown, { where: 'the demo' }))
    const lines: string[] = []
    let show = (line: string): void => void lines.push(line)
    bus.on((event) => {
      const line = demoLine(event, io.language)
      if (line !== null) show(line)
    })
    const node = await openLoggedNode(config, { env, bus, log, io })
    const listening = await listenNear(portWanted, node.handler, env).catch(async (thrown: unknown) => {
      await node.stop()
      throw thrown
    })
    for (const line of introduction(listening, { upstreamUrl: upstream.url, portWanted, config })[io.language])
      io.out(line)
    // The first rotations came before anybody could read what they are.
    for (const line of lines) io.out(line)
    show = io.out
    await aborted(io.signal)
    await stopServing(listening, node, log)
  } finally {
    await upstream.close()
    await env.close()
  }
  return 0
}

/** The demo's configuration goes through the same reader as a user's. */
async function parsedConfig(text: string): Promise<Config> {
  const { config, issues } = await loadConfig({
    path: 'demo.yaml',
    environment: {},
    parseSource,
    readFile: (path) => {
      if (path.endsWith('demo.yaml')) return Promise.resolve({ bytes: new TextEncoder().encode(text), mode: 0o600 })
      return Promise.reject(Object.assign(new Error('there is no other file'), { code: 'ENOENT' }))
    },
  })
  if (config !== null) return config
  const errors = issues.filter((issue) => issue.severity === 'error')
  const shown: Text = { en: formatIssues(errors, 'en'), zh: formatIssues(errors, 'zh') }
  throw new CliFault(1, shown)
}

async function listenNear(wanted: number, handler: Handler, env: ReturnType<typeof realEnv>): Promise<Listening> {
  const last = Math.min(wanted + portsTried - 1, 65_535)
  for (let port = wanted; ; port += 1) {
    const where = `127.0.0.1:${port}`
    try {
      return await listen({ handler, listen: where, env })
    } catch (thrown) {
      const isTaken = typeof thrown === 'object' && thrown !== null && 'code' in thrown && thrown.code === 'EADDRINUSE'
      if (!isTaken || port >= last) throw listenFault(where, thrown)
    }
  }
}

type Scene = { readonly upstreamUrl: string; readonly portWanted: number; readonly config: Config }

function introduction(
  { url, port }: Listening,
  { upstreamUrl, portWanted, config }: Scene,
): { readonly en: readonly string[]; readonly zh: readonly string[] } {
  const names = config.sources.map((source) => source.name).join(', ')
  const isMoved = portWanted !== 0 && port !== portWanted
  // The CLI finds the server by itself on its usual port.
  const address = port === 8_888 ? '' : `ZHONGKONG_URL=${url} `
  return {
    en: [
      `zhongkong ready on ${url}`,
      '',
      'This is a demo: the upstream is SIMULATED. No account is used, and nothing',
      'leaves this machine.',
      ...(isMoved ? [`Port ${portWanted} is taken, so this runs on ${port}.`] : []),
      '',
      `  server     ${url}`,
      `  upstream   ${upstreamUrl}   (the simulator)`,
      `  sources    ${names}`,
      '  lives      60 to 120 seconds, so that you see tokens rotate',
      '',
      'Try this in another terminal:',
      '',
      `  curl ${url}/v1/tokens/weixin`,
      '',
      'and from this folder:',
      '',
      `  ${address}npx zhongkong status --watch`,
      '',
      'Stop with Ctrl-C. For real accounts, write a zhongkong.yaml: see README.md.',
      '',
    ],
    zh: [
      `zhongkong ready on ${url}`,
      '',
      '这是演示：上游平台是【模拟】的，不使用任何真实账号，也不会访问外部网络。',
      ...(isMoved ? [`端口 ${portWanted} 已被占用，改用 ${port}。`] : []),
      '',
      `  服务器     ${url}`,
      `  上游       ${upstreamUrl}   （模拟器）`,
      `  来源       ${names}`,
      '  有效期     60 至 120 秒，便于观察令牌轮换',
      '',
      '在另一个终端里试试：',
      '',
      `  curl ${url}/v1/tokens/weixin`,
      '',
      '或在本目录下执行：',
      '',
      `  ${address}npx zhongkong status --watch`,
      '',
      '按 Ctrl-C 停止。接入真实账号请编写 zhongkong.yaml，参见 README.zh-CN.md。',
      '',
    ],
  }
}
