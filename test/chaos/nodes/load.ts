/** Programs that read every source from every node all the time, and others that wait for each new version. */
import { Agent, request } from 'node:http'
import { digestOf } from './history.ts'
import type { House, Live } from './house.ts'
import type { Recorder } from './recorder.ts'

export type LoadOptions = {
  readonly house: House
  readonly recorder: Recorder
  readonly nodes: number
  readonly sources: readonly string[]
  readonly accepts: (token: string) => boolean
  /** Between two reads of one reader, in milliseconds. */
  readonly pauseMs: number
}

export type Load = { readonly stop: () => Promise<void> }

const readersPerNode = 2
const waitSeconds = 20
/** Longer than anything that a node may take to answer, in milliseconds. */
const readMsMax = 15_000

export function startLoad(options: LoadOptions): Load {
  const { recorder, nodes, sources } = options
  const agent = new Agent({ keepAlive: true })
  let isStopped = false
  const goesOn = (): boolean => !isStopped && !recorder.isClosed
  const pause = async (ms: number): Promise<void> => await recorder.pause(ms)

  const reader = async (node: number, first: number): Promise<void> => {
    for (let turn = first; goesOn(); turn += 1) {
      const live = options.house.live(node)
      if (live !== null) await readOnce(options, agent, live, sources[turn % sources.length]!)
      await pause(options.pauseMs)
    }
  }
  const waiter = async (node: number, source: string): Promise<void> => {
    let tag: string | null = null
    while (goesOn()) {
      const live = options.house.live(node)
      if (live === null) {
        tag = null
        await pause(20)
        continue
      }
      tag = await waitOnce(options, agent, { live, source, tag })
      if (tag === null) await pause(100)
    }
  }
  const all = Array.from({ length: nodes }, (_, node) => [
    ...Array.from({ length: readersPerNode }, (_, first) => reader(node, first * 3)),
    ...sources.map((source) => waiter(node, source)),
  ]).flat()
  return {
    stop: async () => {
      isStopped = true
      agent.destroy()
      await Promise.all(all)
      // Whatever was asked meanwhile on a connection of its own.
      agent.destroy()
    },
  }
}

async function readOnce(options: LoadOptions, agent: Agent, live: Live, source: string): Promise<void> {
  const from = options.recorder.now()
  const answer = await get(agent, `${live.url}/v1/tokens/${source}`)
  write(options, { live, source, from, answer })
}

type Waiting = { readonly live: Live; readonly source: string; readonly tag: string | null }

/** The tag of the version that is served now; null when there is none to wait for. */
async function waitOnce(options: LoadOptions, agent: Agent, { live, source, tag }: Waiting): Promise<string | null> {
  const from = options.recorder.now()
  const path = `${live.url}/v1/tokens/${source}${tag === null ? '' : `?wait=${waitSeconds}`}`
  const answer = await get(agent, path, tag === null ? {} : { 'if-none-match': tag })
  if (answer.status === 304) return tag
  // Refusals are the readers' to tell.
  if (answer.status !== 200) return null
  write(options, { live, source, from, answer }, tag !== null)
  return answer.tag
}

type Read = { readonly live: Live; readonly source: string; readonly from: number; readonly answer: Answer }

function write({ recorder, accepts }: LoadOptions, { live, source, from, answer }: Read, waited = false): void {
  const { status, body } = answer
  const told = status === 200 ? (JSON.parse(body) as TokenBody) : null
  recorder.add({
    type: 'read',
    from,
    node: live.node,
    process: live.process,
    source,
    status,
    version: told?.version ?? 0,
    token: told === null ? '' : digestOf(told.token),
    expiresInMs: (told?.expires_in ?? 0) * 1_000,
    stale: told?.stale === true,
    accepted: told !== null && accepts(told.token),
    ...(told === null ? { failure: failureIn(answer) } : {}),
    ...(status === 503 && answer.retryAfter === null ? { saysNotWhen: true } : {}),
    ...(waited ? { waited } : {}),
  })
}

type TokenBody = {
  readonly token: string
  readonly version: number
  readonly expires_in: number
  readonly stale?: boolean
}

/** Without the words of an upstream, which might repeat what it was asked with. */
function failureIn({ status, body }: Answer): string {
  return status === 0 ? body : (/"code":"([a-z_]+)"/.exec(body)?.[1] ?? 'no problem document')
}

type Answer = {
  /** 0: no answer; `body` says why. */
  readonly status: number
  readonly body: string
  readonly tag: string | null
  readonly retryAfter: string | null
}

function get(agent: Agent, url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const none = (why: string): void => resolve({ status: 0, body: why, tag: null, retryAfter: null })
    // A process that froze answers when it wakes, which may be later than anybody waits.
    const limit = (waitSeconds + 5) * 1_000
    const asked = request(url, { agent, headers, timeout: url.includes('wait=') ? limit : readMsMax }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => (body += text))
      answer.once('error', (error) => none(error.message))
      answer.once('end', () => {
        const { etag, 'retry-after': retryAfter } = answer.headers
        resolve({ status: answer.statusCode ?? 0, body, tag: etag ?? null, retryAfter: retryAfter ?? null })
      })
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.once('error', (error) => none(error.message))
    asked.end()
  })
}
