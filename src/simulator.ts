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

/** What is due to be pushed is looked for this often, in milliseconds. */
const pushMs = 1_000

/** Starts a simulator on 127.0.0.1, in real time. Throws `EADDRINUSE` errors as node does. */
export async function startSimulator(options: StartOptions = {}): Promise<RunningSimulator> {
  const env = realEnv()
  const simulator = createSimulator({ clock: env.clock, random: env.random, send: env.fetch, ...options })
  const closing = new AbortController()
  const pushing = (async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await simulator.pushDue()
      await env.clock.sleep(pushMs, closing.signal)
    }
  })()
  const listening = await listenPlain((request) => simulator.fetch(request), options.port ?? 0)
  return {
    url: listening.url,
    port: listening.port,
    simulator,
    close: async () => {
      closing.abort()
      await listening.close()
      // One that is under way ends by itself: whoever it is for may be gone.
      const waited = new AbortController()
      await Promise.race([pushing, env.clock.sleep(pushMs, waited.signal)])
      waited.abort()
      await env.close()
    },
  }
}
