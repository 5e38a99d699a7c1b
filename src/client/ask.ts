/** One request to the server, with a deadline, and what can be wrong with it. The key is in a header, and nowhere else. */
import type { Problem } from '../wire/problem.ts'
import { unlessAborted, type Closing } from './closing.ts'
import type { World } from './world.ts'

/** What the server said, or that it said nothing. Holds neither key nor token. */
export class ZhongkongClientError extends Error {
  /** A code of docs/errors.md; `unreachable`, `bad_answer`, `closed` or `bad_options` where no server said one. */
  readonly code: string
  /** The HTTP status; 0 without an answer. */
  readonly status: number
  /** Seconds after which trying again makes sense, where the server said so. */
  readonly retryAfter: number | undefined
  /** What to do, in plain words. */
  readonly hint: string | undefined
  readonly upstream: Problem['upstream']

  constructor(
    code: string,
    message: string,
    more: Partial<Problem> & { readonly retryAfter?: number | undefined } = {},
  ) {
    super(message)
    this.name = 'ZhongkongClientError'
    this.code = code
    this.status = more.status ?? 0
    this.retryAfter = more.retryAfter
    this.hint = more.hint
    this.upstream = more.upstream
  }
}

/** Where the server is, and who asks. */
export type Server = {
  /** Without a slash at the end. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

export function serverOf(url: string, key: string | undefined): Server {
  // Neither is shown: a wrong one may hold what a right one holds.
  const wrong = (what: string): ZhongkongClientError => new ZhongkongClientError('bad_options', what)
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw wrong('url is no URL')
  }
  const { protocol, username, password, search, hash } = parsed
  if (!/^https?:$/.test(protocol)) throw wrong('url must begin with http:// or https://')
  if (username + password + search + hash !== '') throw wrong('url must hold no user, query or fragment')
  if (key !== undefined && !/^[!-~]+$/.test(key)) throw wrong('key must be visible ASCII without spaces')
  return {
    url: parsed.href.replace(/\/+$/, ''),
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  }
}

export type Question = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** How long the whole may take, in milliseconds. */
  readonly ms: number
  readonly closing: Closing
}

export type Told = {
  readonly status: number
  readonly tag: string | null
  readonly body: Readonly<Record<string, unknown>>
}

/** Asks, and reads the whole answer. Throws a `ZhongkongClientError` for whatever is neither a success nor 304. */
export async function ask(world: World, { url, headers }: Server, path: string, question: Question): Promise<Told> {
  const { ms, closing, method = 'GET', body = null } = question
  const over = closing.begin()
  const done = new AbortController()
  void world.clock.sleep(ms, done.signal).then(() => over.abort())
  try {
    const request = new Request(url + path, {
      method,
      body,
      headers: { ...headers, ...question.headers },
      redirect: 'manual',
      signal: over.signal,
    })
    const work = world.fetch(request).then(async (response) => told(response, await response.text()))
    return await unlessAborted(over.signal, work)
  } catch (thrown) {
    if (thrown instanceof ZhongkongClientError) throw thrown
    if (closing.isClosed) throw closed()
    throw new ZhongkongClientError(
      'unreachable',
      `the server does not answer (${over.signal.aborted ? 'timeout' : wordOf(thrown)})`,
    )
  } finally {
    closing.done(over)
    done.abort()
  }
}

export function closed(): ZhongkongClientError {
  return new ZhongkongClientError('closed', 'this client was closed')
}

/** Waiting may help: nobody answered, or the server cannot at the moment. */
export function isPassing({ status, code }: ZhongkongClientError): boolean {
  return ['unreachable', 'bad_answer', 'token_unavailable'].includes(code) || status === 429 || status >= 500
}

function told({ status, headers, ok }: Response, text: string): Told {
  const tag = headers.get('etag')
  if (status === 304) return { status, tag, body: {} }
  const body = parsed(text)
  if (ok && body !== null) return { status, tag, body }
  const problem = (body ?? {}) as Partial<Problem>
  const { code, detail } = problem
  if (typeof code !== 'string')
    throw new ZhongkongClientError('bad_answer', `HTTP ${status}, and not from zhongkong`, { status })
  const after = Number(headers.get('retry-after') ?? NaN)
  throw new ZhongkongClientError(code, detail ?? code, {
    ...problem,
    status,
    retryAfter: after >= 0 ? after : undefined,
  })
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** The system's word for a network failure, such as ECONNREFUSED; nothing else of the error is passed on. */
function wordOf(thrown: unknown): string {
  const { code } = ((thrown as { cause?: unknown } | null)?.cause ?? thrown ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[A-Z_]+$/.test(code) ? code : 'network'
}
