/** One question to a node as a program asks it, and its answer as a line of the history. */
import { request, type Agent } from 'node:http'
import { digestOf, type ReadLine } from './history.ts'
import type { Live } from './house.ts'
import type { Recorder } from './recorder.ts'

export type Answer = {
  /** 0: no answer; `body` says why. */
  readonly status: number
  readonly body: string
  readonly tag: string | null
  readonly retryAfter: string | null
  /** The word of the worker that answered. */
  readonly worker: string
}

export type Question = {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** A POST of this, as JSON. */
  readonly body?: object
  /** How long an answer is waited for, in milliseconds. */
  readonly withinMs?: number
}

/** Longer than anything that a node may take to answer, in milliseconds. */
const askMsMax = 15_000

export function askNode(agent: Agent, { url, headers = {}, body, withinMs = askMsMax }: Question): Promise<Answer> {
  return new Promise((resolve) => {
    const none = (why: string): void => resolve({ status: 0, body: why, tag: null, retryAfter: null, worker: '' })
    const method = body === undefined ? 'GET' : 'POST'
    const sent = body === undefined ? headers : { ...headers, 'content-type': 'application/json' }
    const asked = request(url, { agent, method, headers: sent, timeout: withinMs }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.once('error', (error) => none(error.message))
      answer.once('end', () => {
        const { etag, 'retry-after': retryAfter, 'x-request-id': id } = answer.headers
        const worker = String(id).split('-')[0] ?? ''
        const status = answer.statusCode ?? 0
        resolve({ status, body: text, tag: etag ?? null, retryAfter: retryAfter ?? null, worker })
      })
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.once('error', (error) => none(error.message))
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

export type TokenBody = {
  readonly token: string
  readonly version: number
  readonly expires_in: number
  readonly stale?: boolean
  readonly refreshed?: boolean
  readonly reason?: string
}

export function tokenIn({ status, body }: Answer): TokenBody | null {
  return status === 200 ? (JSON.parse(body) as TokenBody) : null
}

export type Told = {
  readonly live: Live
  readonly source: string
  readonly from: number
  readonly answer: Answer
  readonly more?: Pick<ReadLine, 'wait' | 'refresh'>
}

/** Writes down what was told. */
export function record(
  recorder: Recorder,
  accepts: (token: string) => boolean,
  { live, source, from, answer, more }: Told,
): void {
  const { status, worker } = answer
  const told = tokenIn(answer)
  recorder.add({
    type: 'read',
    from,
    node: live.node,
    process: live.process,
    worker,
    source,
    status,
    version: told?.version ?? 0,
    token: told === null ? '' : digestOf(told.token),
    expiresInMs: (told?.expires_in ?? 0) * 1_000,
    stale: told?.stale === true,
    accepted: told !== null && accepts(told.token),
    ...(status === 200 || status === 304 ? {} : { failure: failureIn(answer) }),
    ...(status === 503 && answer.retryAfter === null ? { saysNotWhen: true } : {}),
    ...more,
  })
}

/** Without the words of an upstream, which might repeat what it was asked with. */
function failureIn({ status, body }: Answer): string {
  return status === 0 ? body : (/"code":"([a-z_]+)"/.exec(body)?.[1] ?? 'no problem document')
}
