/** The real clock, chance and network. One of the few files that may touch them; a test keeps it so. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { Readable } from 'node:stream'
import { Agent, ProxyAgent, fetch as undiciFetch, type Dispatcher } from 'undici'
import { sleepMsMax, type Clock, type Env, type Fetch, type FetchOptions, type Pass, type Processes } from './env.ts'

const connectMsMax = 3_000
/** How long the other side of a request that is passed on may be silent, before its answer and within, in milliseconds. */
const silentMsMax = 60_000
/** Authorities of requests (`FetchOptions.ca`) whose connections are kept. */
const authoritiesMax = 8

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve()
        return
      }
      // setTimeout fires at once for NaN, Infinity and anything above 24.8 days, so the clamp is a safety, not a nicety.
      const bounded = Number.isFinite(ms) ? Math.min(Math.max(ms, 0), sleepMsMax) : sleepMsMax
      const finish = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, bounded)
      signal?.addEventListener('abort', finish, { once: true })
    }),
}

/** The network over one connection pool: no redirects, no cookies, no proxy from the environment. */
export function realFetch(): { fetch: Fetch; pass: Pass; close: () => Promise<void> } {
  const direct = new Agent({ connect: { timeout: connectMsMax }, keepAliveTimeout: 10_000 })
  const proxies = new Map<string, Dispatcher>()
  const trusting = new Map<string, Agent>()
  const agentTrusting = (ca: string): Agent => {
    const known = trusting.get(ca)
    if (known !== undefined) return known
    const made = new Agent({ connect: { timeout: connectMsMax, ca }, keepAliveTimeout: 10_000 })
    trusting.set(ca, made)
    // An authority that was renewed is not needed any more.
    for (const [old, agent] of trusting) {
      if (trusting.size <= authoritiesMax) break
      trusting.delete(old)
      void agent.close().catch(() => undefined)
    }
    return made
  }
  const dispatcherFor = ({ proxy, ca }: FetchOptions): Dispatcher => {
    if (ca !== undefined) return agentTrusting(ca)
    if (proxy === undefined) return direct
    const known = proxies.get(proxy)
    if (known !== undefined) return known
    const made = new ProxyAgent({ uri: proxy, connect: { timeout: connectMsMax } })
    proxies.set(proxy, made)
    return made
  }
  const fetch: Fetch = async (request, options) => {
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
    const answer = await undiciFetch(request.url, {
      method: request.method,
      headers: [...request.headers],
      redirect: 'manual',
      signal: request.signal,
      dispatcher: dispatcherFor(options ?? {}),
      ...(body === undefined ? {} : { body }),
    })
    return answer as unknown as Response
  }
  const pass: Pass = async ({ origin, path, method, headers, body, signal, proxy }) => {
    // Not by fetch, which would decode bodies, add headers and cost several times as much.
    const {
      statusCode,
      headers: answered,
      body: answer,
    } = await dispatcherFor(proxy === undefined ? {} : { proxy }).request({
      origin,
      path,
      method: method,
      headers: [...headers],
      body: isBytes(body) ? body : body === null ? null : Readable.from(body, { objectMode: false }),
      signal,
      headersTimeout: silentMsMax,
      bodyTimeout: silentMsMax,
      responseHeaders: 'raw',
    })
    return { status: statusCode, headers: answered as unknown as readonly string[], body: answer }
  }
  const close = async (): Promise<void> => {
    await Promise.all([direct, ...proxies.values(), ...trusting.values()].map((dispatcher) => dispatcher.destroy()))
  }
  return { fetch, pass, close }
}

function isBytes(body: AsyncIterable<Uint8Array> | Uint8Array | null): body is Uint8Array {
  return body instanceof Uint8Array
}

/**
 * The processes of this boot of this machine and PID namespace, by PID and start; undefined where the kernel does not tell
 * them (other systems than Linux).
 */
export function realProcesses(): Processes | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
    const place = createHash('sha256').update(boot).update(readlinkSync('/proc/self/ns/pid')).digest('hex').slice(0, 12)
    const startOf = (pid: string): string | null => {
      // The second field is the name of the program, which may hold anything; what follows it is counted from its end.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state === 'Z' || state === 'X' ? null : (rest[18] ?? null)
    }
    const pid = readlinkSync('/proc/self')
    const self = `${place}.${pid}.${startOf(pid) ?? ''}`
    const isGone = (name: string): boolean => {
      const [where, other, start, ...more] = name.split('.')
      if (where !== place || other === undefined || !/^\d+$/.test(other) || more.length > 0) return false
      try {
        return startOf(other) !== start
      } catch (thrown) {
        return isSystemError(thrown) && thrown.code === 'ENOENT'
      }
    }
    return { self, isGone }
  } catch {
    return undefined
  }
}

function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'code' in thrown
}

export function realEnv(): Env & { close: () => Promise<void> } {
  const { fetch, pass, close } = realFetch()
  const processes = realProcesses()
  return {
    ...(processes === undefined ? {} : { processes }),
    clock: realClock,
    random: { next: () => Math.random(), bytes: (length) => new Uint8Array(randomBytes(length)) },
    fetch,
    pass,
    close,
  }
}
