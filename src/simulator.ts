/**
 * `zhongkong/simulator`: the simulated upstreams as a library, for other people's tests.
 *
 * @example
 * ```ts
 * import { startSimulator } from 'zhongkong/simulator'
 * const upstream = await startSimulator({ accounts: [{ kind: 'wechat', id: 'wx1', secret: 's' }], knobs: { ttlSeconds: 60 } })
 * // point your program's base URL at upstream.url, then
 * upstream.simulator.counters('wx1')
 * await upstream.close()
 * ```
 */
import { until, type Env } from './base/env.ts'
import { realEnv } from './base/real-env.ts'
import { listenPlain } from './http/listen-plain.ts'
import { createSimulator, type Simulator, type SimulatorOptions } from './simulator/simulator.ts'

export { createSimulator, demoAccounts } from './simulator/simulator.ts'
export type * from './simulator/simulator.ts'

export type RunningSimulator = {
  /** `http://127.0.0.1:PORT`: the base URL for what talks to WeChat, WeCom and the rest. */
  readonly url: string
  readonly port: number
  readonly simulator: Simulator
  close(): Promise<void>
}

export type StartOptions = Partial<SimulatorOptions> & {
  /** Port on 127.0.0.1; any free one by default. */
  readonly port?: number
}

/** How often it is looked for something to push, in milliseconds. */
const pushMs = 250

async function keepPushing(simulator: Simulator, env: Env, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted) {
    await simulator.pushDue((request) => until(env.fetch(request), stopping))
    await env.clock.sleep(pushMs, stopping)
  }
}

/** Starts a simulator on 127.0.0.1, in real time. Throws `EADDRINUSE` errors as node does. */
export async function startSimulator(options: StartOptions = {}): Promise<RunningSimulator> {
  const env = realEnv()
  const simulator = createSimulator({ clock: env.clock, random: env.random, ...options })
  const listening = await listenPlain((request) => simulator.fetch(request), options.port ?? 0)
  const stopping = new AbortController()
  const pushing = keepPushing(simulator, env, stopping.signal)
  return {
    url: listening.url,
    port: listening.port,
    simulator,
    close: async () => {
      stopping.abort()
      await pushing
      await listening.close()
      await env.close()
    },
  }
}
