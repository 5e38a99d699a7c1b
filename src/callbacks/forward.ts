/**
 * Passes a message on as it came: method, query, body, content type and the platform's own headers, so that a receiver
 * that was written for the platform checks and answers it as ever. The first target that wants it may answer; the others
 * are only told. All of it is bounded: time by the caller's signal, answers in size, requests in number.
 */
import { until, type Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Message } from '../model/message.ts'
import type { ForwardTarget } from '../model/source.ts'
import { plainType, type Post, type Reply } from './scheme.ts'

/** Requests under way at once, of one source and of all. One slow receiver must not take the place of all others. */
const underWayMax = { source: 128, node: 512 } as const
/** Answers are never larger than this, in bytes. */
const answerBytesMax = 64 * 1_024

/** How a target took a message. `refused`: its status was none of 200 to 299. */
export type Forwarded = {
  /** Origin and path; a query may hold a secret. */
  readonly to: string
  readonly outcome: 'answered' | 'refused' | 'failed' | 'late' | 'too-large'
  readonly status: number | null
  readonly tookMs: number
}

export type Forwarding = {
  /** The answer of the first target; null when there is none that could be passed back. */
  readonly answer: Promise<Reply | null>
  /** Resolves when every target has answered or the time is over. */
  readonly ended: Promise<readonly Forwarded[]>
}

export type Forwarder = {
  /** Throws `overloaded` when too much is under way; then nobody was told. */
  forward(source: string, targets: readonly ForwardTarget[], passed: Passed): Forwarding
}

export type Passed = {
  readonly post: Post
  /** Headers that go along beside the content type. */
  readonly headers: readonly string[]
  readonly signal: AbortSignal
}

/** The targets that want this message, in order of the configuration. */
export function wanting(targets: readonly ForwardTarget[], message: Message): readonly ForwardTarget[] {
  const isIn = (list: readonly string[] | null, value: string | null): boolean =>
    list === null || (value !== null && list.includes(value))
  return targets.filter(
    ({ types, events, accounts }) =>
      isIn(types, message.type) && isIn(events, message.event) && isIn(accounts, message.account),
  )
}

export function createForwarder(env: Env): Forwarder {
  const underWay = new Map<string, number>()
  let underWayInAll = 0
  const add = (source: string, count: number): void => {
    underWayInAll += count
    const left = (underWay.get(source) ?? 0) + count
    if (left === 0) underWay.delete(source)
    else underWay.set(source, left)
  }
  return {
    forward: (source, targets, passed) => {
      const ofSource = (underWay.get(source) ?? 0) + targets.length
      if (ofSource > underWayMax.source || underWayInAll + targets.length > underWayMax.node) {
        throw new ZhongkongError('overloaded', 'too many messages are being forwarded')
      }
      add(source, targets.length)
      const told = targets.map(async ({ to }) => {
        const result = await tell(env, to, passed)
        add(source, -1)
        return result
      })
      return {
        answer: told[0]?.then(({ reply }) => reply) ?? Promise.resolve(null),
        ended: Promise.all(told).then((results) => results.map(({ forwarded }) => forwarded)),
      }
    },
  }
}

type Result = { readonly forwarded: Forwarded; readonly reply: Reply | null }

/** Never rejects: whatever a target does is an outcome. */
async function tell(env: Env, to: string, { post, headers, signal }: Passed): Promise<Result> {
  const startedAt = env.clock.monotonic()
  const ended = (outcome: Forwarded['outcome'], status: number | null, reply: Reply | null = null): Result => {
    const { origin, pathname } = new URL(to)
    return {
      forwarded: { to: `${origin}${pathname}`, outcome, status, tookMs: env.clock.monotonic() - startedAt },
      reply,
    }
  }
  try {
    const response = await until(env.fetch(requestOf(to, post, headers, signal)), signal)
    if (!response.ok) {
      void response.body?.cancel().catch(() => undefined)
      return ended('refused', response.status)
    }
    const body = await until(readBounded(response), signal)
    if (body === null) return ended('too-large', response.status)
    return ended('answered', response.status, { type: response.headers.get('content-type') ?? plainType, body })
  } catch {
    return ended(signal.aborted ? 'late' : 'failed', null)
  }
}

function requestOf(to: string, post: Post, names: readonly string[], signal: AbortSignal): Request {
  const headers = new Headers()
  for (const name of ['content-type', 'user-agent', ...names]) {
    const value = post.header(name)
    if (value !== null) headers.set(name, value)
  }
  const url = new URL(to)
  url.search = url.search === '' ? post.search : `${url.search}&${post.search.slice(1)}`
  return new Request(url, {
    method: post.method,
    headers,
    body: Uint8Array.from(post.body),
    redirect: 'manual',
    signal,
  })
}

/** The body, or null when it is larger than what is passed back. */
async function readBounded(response: Response): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
