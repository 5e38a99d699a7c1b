/** Sends a call to the upstream of its source, through one of its proxies, and says in our words when no answer comes. */
import type { Env, Passed } from '../../base/env.ts'
import { ZhongkongError } from '../../base/errors.ts'
import { unreachable } from '../../base/unreachable.ts'
import type { Source, SourceGateway } from '../../model/source.ts'
import type { Exchange } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import type { RequestBody } from './request-body.ts'
import { withToken, type Target } from './target.ts'

export type Sending = {
  readonly source: Source
  readonly gateway: SourceGateway
  readonly target: Target
  readonly token: string
  readonly exchange: Exchange
  readonly body: RequestBody
}

/** Throws `upstream_unreachable`, `upstream_cut`, `upstream_silent`. */
export type Sender = (sending: Sending) => Promise<Passed>

/** Methods that may be carried out twice. */
const safeMethods = ['GET', 'HEAD', 'OPTIONS']
/** A proxy that could not be reached is passed over for so long, in milliseconds. */
const restMs = 10_000

export function createSender(env: Env): Sender {
  const proxies = createTurns(env)
  return async (sending) => {
    const { pass } = env
    if (pass === undefined) throw new ZhongkongError('no_gateway', 'nothing is passed on here')
    const { source, exchange, body } = sending
    const request = requestOf(sending)
    const ways = proxies.of(source)
    let isFresh = true
    for (;;) {
      const proxy = ways.shift()
      try {
        const passed = await pass({ ...request, ...(proxy === undefined ? {} : { proxy }) })
        // Nobody may listen yet when it breaks off; whoever reads it sees that all the same.
        passed.body.on('error', () => undefined)
        return passed
      } catch (thrown) {
        if (exchange.signal.aborted) throw thrown
        const isUnsent = unreachable(thrown) !== null
        if (isUnsent && proxy !== undefined) proxies.rest(proxy)
        if (isUnsent && ways.length > 0 && body.isReplayable) continue
        const error = told(thrown, isUnsent)
        // A connection that was kept may have been closed by the other side just now.
        const mayRepeat = error.code === 'upstream_cut' && safeMethods.includes(exchange.method) && body.isReplayable
        if (!mayRepeat || !isFresh) throw error
        isFresh = false
        if (proxy !== undefined) ways.unshift(proxy)
      }
    }
  }
}

function requestOf({ source, gateway, target, token, exchange, body }: Sending) {
  const { inject } = source.semantics
  const { origin, pathname } = new URL(gateway.baseUrl)
  const besides = new Set('query' in inject ? [] : [inject.header.toLowerCase()])
  // The length is that of the bytes where we hold them.
  if (body.content === null || body.content instanceof Uint8Array) besides.add('content-length')
  const headers = requestHeaders(exchange.headers, besides)
  if ('header' in inject) headers.push(inject.header, `${inject.prefix}${token}`)
  const query = 'query' in inject ? withToken(target.query, inject.query, token) : target.query
  const path = `${pathname.replace(/\/+$/, '')}${target.path}`
  return {
    method: exchange.method,
    origin,
    path: query === '' ? path : `${path}?${query}`,
    headers,
    body: body.content,
    signal: exchange.signal,
  }
}

function told(thrown: unknown, isUnsent: boolean): ZhongkongError {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : ''
  if (isUnsent) return new ZhongkongError('upstream_unreachable', 'no connection to the upstream', { cause: thrown })
  if (code === 'UND_ERR_HEADERS_TIMEOUT')
    return new ZhongkongError('upstream_silent', 'no answer in time', { cause: thrown })
  return new ZhongkongError('upstream_cut', 'the connection broke before an answer', { cause: thrown })
}

type Turns = {
  /** The proxies of a source in the order in which they are tried; one `undefined` for the direct way. */
  of(source: Source): (string | undefined)[]
  rest(proxy: string): void
}

/** One after the other, those last that could not be reached of late. */
function createTurns({ clock }: Env): Turns {
  const restingUntil = new Map<string, number>()
  let turn = 0
  return {
    of: ({ policy }) => {
      const { proxies } = policy
      if (proxies === undefined) return [policy.proxy]
      turn = (turn + 1) % 1_000_000
      const from = turn % proxies.length
      const now = clock.monotonic()
      const isResting = (proxy: string): boolean => (restingUntil.get(proxy) ?? -Infinity) > now
      const inTurn = [...proxies.slice(from), ...proxies.slice(0, from)]
      return [...inTurn.filter((each) => !isResting(each)), ...inTurn.filter(isResting)]
    },
    rest: (proxy) => {
      if (restingUntil.size > 1_000) restingUntil.clear()
      restingUntil.set(proxy, clock.monotonic() + restMs)
    },
  }
}
