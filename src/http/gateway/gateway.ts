/**
 * The gateway: ordinary calls go to the upstream of a source with the living token put in. Whoever calls proves itself by an
 * API key (`/proxy/NAME/…`), or at any other address that is not ours by a token of ours (what is left of the path then is the
 * upstream's).
 *
 * An answer in which the upstream refuses the token means that nothing was carried out. Then the token is reported, which
 * costs one refresh for all who report the same, and the call is sent once more. It is never sent a third time.
 */
import type { Passed } from '../../base/env.ts'
import { asZhongkongError, ZhongkongError } from '../../base/errors.ts'
import { compileRules, type MayCall } from '../../model/call-rules.ts'
import type { CallRules, Source, SourceGateway } from '../../model/source.ts'
import type { CallOutcome, House } from '../surface.ts'
import type { Carried, Exchange, Gateway } from './exchange.ts'
import { claimOf, type Claim } from './claim.ts'
import { answerHeaders, valuesOf } from './headers.ts'
import { lookAt, type Said } from './read-answer.ts'
import { createRateLimiter } from './rate-limiter.ts'
import { createBodyHolder, type RequestBody } from './request-body.ts'
import { createSender, type Sender } from './send.ts'

/** Calls under way at once for one source, in one process. */
const underWayMax = 1_024
/** How long a caller waits for a token when there is none, in milliseconds. */
const waitMs = 8_000

/** Says what became of a call where the answer itself cannot: the answer is the upstream's. */
export const replayHeader = 'Zhongkong-Replay'
/** The address that has to be allowed at the platform. */
export const allowHeader = 'Zhongkong-Allow-Address'

type Room = {
  readonly house: House
  readonly send: Sender
  readonly holder: ReturnType<typeof createBodyHolder>
  readonly limiter: ReturnType<typeof createRateLimiter>
  readonly underWay: Map<string, number>
}

/** `isOurs` says whether a path, in whatever method, is one of the other surfaces'. */
export function createGateway(house: House, isOurs: (path: string) => boolean): Gateway {
  const room: Room = {
    house,
    send: createSender(house.env),
    holder: createBodyHolder(),
    limiter: createRateLimiter(house.env.clock),
    underWay: new Map(),
  }
  return {
    mayTake: (target) => {
      if (target.startsWith('/proxy/')) return true
      const at = target.indexOf('?')
      return !isOurs(at === -1 ? target : target.slice(0, at))
    },
    carry: async (exchange) => {
      const claim = await claimOf(house, exchange)
      return claim === null || 'answer' in claim ? (claim?.answer ?? null) : await carry(room, claim, exchange)
    },
  }
}

async function carry(room: Room, claim: Claim, exchange: Exchange): Promise<Carried> {
  const { meter } = room.house
  const { name } = claim.source
  const release = admitted(room, claim, exchange)
  const end = (outcome: CallOutcome): void => {
    release()
    meter.countCall(name, outcome)
  }
  try {
    const { carried, outcome } = await call(room, claim, exchange)
    const { body } = carried
    if (body instanceof Uint8Array) end(outcome)
    else body.once('close', () => end(body.readableEnded ? outcome : 'cut'))
    return carried
  } catch (thrown) {
    end('failed')
    throw thrown
  }
}

/** Takes the place of one call, or throws why it may not be made. */
function admitted(
  { house, limiter, underWay }: Room,
  { source, client, target }: Claim,
  exchange: Exchange,
): () => void {
  const { name, gateway } = source
  if (gateway === undefined) throw new ZhongkongError('no_gateway', 'calls are not passed on for this source')
  const rules: readonly CallRules[] = client?.calls === undefined ? [gateway] : [gateway, client.calls]
  const methods = methodsOf(exchange)
  if (!rules.every((each) => methods.every((method) => compiled(each)(method, target.decoded)))) {
    house.meter.countCall(name, 'denied')
    throw new ZhongkongError('call_denied', 'the gateway may not make this call')
  }
  const limits = [
    [`client ${client?.name ?? ''}`, client?.calls?.perSecond ?? null],
    [`source ${name}`, gateway.perSecond],
  ] as const
  for (const [bucket, perSecond] of limits) {
    const retryAfterSeconds = perSecond === null ? null : limiter.take(bucket, perSecond)
    if (retryAfterSeconds === null) continue
    house.meter.countCall(name, 'limited')
    throw new ZhongkongError('rate_limited', 'too many calls in a second', { retryAfterSeconds })
  }
  const count = underWay.get(name) ?? 0
  if (count >= underWayMax) {
    house.meter.countCall(name, 'limited')
    throw new ZhongkongError('overloaded', `${count} calls are under way for this source`)
  }
  underWay.set(name, count + 1)
  return () => {
    const left = (underWay.get(name) ?? 1) - 1
    if (left === 0) underWay.delete(name)
    else underWay.set(name, left)
  }
}

/** Headers by which some platforms (Google's, Microsoft's) take a POST for another method. */
const methodHeaders = ['x-http-method-override', 'x-http-method', 'x-method-override']

/** The methods by which an upstream may take a call: a rule holds for each of them. */
function methodsOf({ method, headers }: Exchange): string[] {
  const others = methodHeaders.flatMap((name) => valuesOf(headers, name))
  return [method, ...others.map((each) => each.trim().toUpperCase())]
}

const rulesCompiled = new WeakMap<CallRules, MayCall>()

/** Rules never change; a reload brings other ones. */
function compiled(rules: CallRules): MayCall {
  const known = rulesCompiled.get(rules)
  if (known !== undefined) return known
  const made = compileRules(rules)
  rulesCompiled.set(rules, made)
  return made
}

type Called = { readonly carried: Carried; readonly outcome: CallOutcome }

async function call(room: Room, claim: Claim, exchange: Exchange): Promise<Called> {
  const token = await livingToken(room.house, claim.source, exchange.signal)
  const body = await room.holder.hold(exchange.body, exchange.length).catch((thrown: unknown) => {
    throw new ZhongkongError('bad_request', 'the body broke off', { cause: thrown })
  })
  try {
    return await callWith(room, { claim, exchange, body }, token)
  } catch (thrown) {
    // A caller that went away takes its call with it; whoever listens is gone, too.
    if (exchange.signal.aborted) throw new ZhongkongError('closed', 'the call was given up', { cause: thrown })
    throw thrown
  } finally {
    body.release()
  }
}

async function livingToken({ keeper }: House, { name }: Source, signal: AbortSignal): Promise<string> {
  const snapshot = keeper.peek(name)
  if (snapshot !== undefined && keeper.leftMs(snapshot) > 0) return snapshot.token
  return (await keeper.get(name, { waitMs, signal })).snapshot.token
}

type Whole = { readonly claim: Claim; readonly exchange: Exchange; readonly body: RequestBody }

async function callWith(room: Room, whole: Whole, token: string): Promise<Called> {
  const { claim, exchange, body } = whole
  const first = await ask(room, whole, token)
  if (!first.said.refusesToken) return { carried: first.carry(token, []), outcome: 'answered' }
  // The report comes first: even a call that cannot be sent again heals the next one.
  const witness = { kind: 'gateway', client: claim.client?.name ?? null } as const
  const next = await room.house.keeper.refresh(claim.source.name, { stale: token, waitMs, witness }).then(
    ({ snapshot }) => snapshot.token,
    (thrown: unknown) => failedAs(asZhongkongError(thrown)),
  )
  const unsent =
    next === null ? 'no-token' : next === token ? 'same-token' : body.isReplayable ? null : 'body-too-large'
  if (next === null || unsent !== null) {
    return { carried: first.carry(token, [replayHeader, unsent ?? 'no-token']), outcome: 'refused' }
  }
  if (exchange.signal.aborted) throw new ZhongkongError('closed', 'the call was given up')
  first.drop()
  const second = await ask(room, whole, next)
  const outcome = second.said.refusesToken ? 'refused' : 'healed'
  return { carried: second.carry(next, [replayHeader, 'replayed']), outcome }
}

/** That there is no other token is told by the answer that the caller gets; a fault of ours is not hidden behind it. */
function failedAs(error: ZhongkongError): null {
  if (error.code === 'internal') throw error
  return null
}

type Asked = {
  readonly said: Said
  /** The answer for the caller; `more` are headers, name after value. */
  readonly carry: (token: string, more: readonly string[]) => Carried
  readonly drop: () => void
}

async function ask({ house, send }: Room, { claim, exchange, body }: Whole, token: string): Promise<Asked> {
  const { source, target, sent, route } = claim
  const passed = await send({ source, gateway: gatewayOf(source), target, token, exchange, body })
  const { whole, said } = await lookAt(passed, source.semantics, house.env.clock).catch((thrown: unknown) => {
    throw new ZhongkongError('upstream_cut', 'the answer broke off', { cause: thrown })
  })
  if (said.limit !== null) house.meter.countLimit(source.name, said.limit)
  const address = said.address === null ? [] : [allowHeader, said.address]
  return {
    said,
    carry: (put, more) => ({
      status: passed.status,
      headers: [...answerHeaders(passed, { token: put, shown: sent ?? '' }), ...address, ...more],
      body: whole ?? passed.body,
      route,
    }),
    drop: () => destroyed(passed),
  }
}

function destroyed({ body }: Passed): void {
  if (!body.readableEnded) body.destroy()
}

function gatewayOf({ gateway }: Source): SourceGateway {
  if (gateway === undefined) throw new ZhongkongError('no_gateway', 'calls are not passed on for this source')
  return gateway
}
