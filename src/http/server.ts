/**
 * The door of the http room: every surface behind one `(Request, Peer) => Promise<Response>`. Nothing here knows sockets
 * (`listen.ts` does), so server, simulator, client and tests can meet inside one process under a virtual clock.
 */
import { Hono } from 'hono'
import { TrieRouter } from 'hono/router/trie-router'
import type { Access } from '../access/access.ts'
import type { Env } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { createCallbacks, type Hear } from '../callbacks/callback.ts'
import type { Keeper } from '../keeper/keeper.ts'
import type { ZhongkongEvent } from '../model/event.ts'
import type { SinkStatus } from '../model/sink.ts'
import { addressList } from './address.ts'
import { headersOf, responseOf, type Answer, type TextAnswer } from './answer.ts'
import { admit } from './gate.ts'
import { gatewayOperations } from './gateway/describe.ts'
import { createGateway } from './gateway/gateway.ts'
import type { Carried, Exchange, Gateway } from './gateway/exchange.ts'
import { exchangeOf, responseTo } from './gateway/fetch-bridge.ts'
import { headerOf } from './gateway/headers.ts'
import { createGlance, type Glance } from './glance.ts'
import { createGuessLimiter } from './guess-limiter.ts'
import { openapi } from './openapi.ts'
import { languageOf } from './problem.ts'
import { createReAsks } from './re-asks.ts'
import { refuse } from './refuse.ts'
import { routes } from './routes.ts'
import { createSealer } from './sealed-text.ts'
import type { Authorising, Compat, Credentials, House, Meter, Peer, Settings, Surface, Visit } from './surface.ts'
import { createTakeReport, type TakeReport } from './take-report.ts'
import { createTell, type OnFault, type Tell } from './tell-fault.ts'
import { createTrail, type Trail } from './trail.ts'
import { createWatchers, type Feed } from './watchers.ts'

export type { Authorising, Compat, Meter, Peer } from './surface.ts'
export type { Carried, Exchange } from './gateway/exchange.ts'
export type { Glance, Glimpse } from './glance.ts'
export type { TakeReport } from './take-report.ts'
export type { Feed } from './watchers.ts'

/** What a reload replaces. */
export type Reloadable = { readonly access: Access; readonly compat: Compat }

export type ServerOptions = Reloadable & {
  readonly keeper: Keeper
  readonly env: Env
  readonly metrics: Meter
  readonly version: string
  /** Host names by which unkeyed callers on this machine may name the server, beside `localhost` and addresses. */
  readonly hosts?: readonly string[]
  /** Shared with the keeper, which sends it along when it follows another zhongkong. */
  readonly trail?: Trail
  /** Keeps what platforms send to sources; absent, all of it is for others. */
  readonly hear?: Hear
  /** How people authorise sources; absent, nobody does. */
  readonly authorising?: Authorising
  /** 32 bytes that all nodes of a store share, for what travels through browsers; absent, a key of the moment. */
  readonly journeyKey?: Uint8Array
  /** The address by which browsers reach this server, without a slash at the end. */
  readonly publicUrl?: string | undefined
  /** How the sinks of this node are doing. */
  readonly sinks?: () => readonly SinkStatus[]
  readonly emit?: (event: ZhongkongEvent) => void
  /** What watchers are told; absent, nothing is. */
  readonly feed?: Feed
  /** Hears of what broke inside; the caller was told nothing but the request's id. */
  readonly onFault?: OnFault
}

export type Handler = {
  (request: Request, peer: Peer): Promise<Response>
  /** The quick path for token reads: the same answers without Request and Response. */
  readonly glance: Glance
  /** The quick path for reports, likewise. */
  readonly takeReport: TakeReport
  /** Whether a request may be one for the gateway, by its target. */
  mayCarry(target: string): boolean
  /** Passes a call on to an upstream, with its bodies as streams; null when it is none, and nothing of it was read. Never rejects. */
  carry(exchange: Exchange): Promise<Carried | null>
  /** Puts new clients and compatibility settings in place, whole, for every request from now on. */
  replace(settings: Reloadable): void
  /** Ends all waits and answers `/readyz` with 503; requests are still answered. */
  drain(): void
  /** Resolves when nothing goes on behind an answer that was given, such as forwarding; within five seconds. */
  settle(): Promise<void>
}

/** Says nothing about a proxy unless one of these is there; then the caller is not who the connection says. */
const forwardedHeaders = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']

type Bindings = { readonly peer: Peer; readonly requestId: string; route: string }

export function createHandler(options: ServerOptions): Handler {
  const { env, metrics } = options
  let settings = settingsOf(options)
  const draining = new AbortController()
  const house = houseOf(options, () => settings, draining.signal)
  const tell = createTell(options.onFault)
  const app = routed(house, tell)
  const nextRequestId = requestIds(env)

  const gateway = createGateway(house, isRouted())
  const carry = carrier(house, gateway, { nextRequestId, tell })
  const handle = async (request: Request, peer: Peer): Promise<Response> => {
    const carried = await carriedFor(gateway, carry, request, peer)
    if (carried !== null) return responseTo(carried)
    const startedAt = env.clock.monotonic()
    const bindings: Bindings = { peer, requestId: nextRequestId(request.headers.get('x-request-id')), route: 'none' }
    const response = await app.fetch(request, bindings)
    metrics.observe(bindings.route, response.status, (env.clock.monotonic() - startedAt) / 1_000)
    return response
  }
  return Object.assign(handle, {
    glance: createGlance(house, nextRequestId),
    takeReport: createTakeReport(house, { nextRequestId, tell }),
    mayCarry: (target: string) => gateway.mayTake(target),
    carry,
    replace: (next: Reloadable) => {
      settings = settingsOf(next)
      house.watchers.readmitAll()
    },
    drain: () => {
      draining.abort()
      house.watchers.close()
    },
    settle: () => house.callbacks.settle(),
  })
}

/** What the surfaces stand on. */
function houseOf(options: ServerOptions, settings: () => Settings, draining: AbortSignal): House {
  const { keeper, env, metrics, version } = options
  let document: string | undefined
  const callbacks = createCallbacks({
    env,
    hear: options.hear ?? (() => Promise.resolve(false)),
    emit: options.emit ?? (() => undefined),
    count: (source, verdict) => metrics.countCallback(source, verdict),
  })
  const watchers = createWatchers({
    feed: options.feed ?? silence,
    env,
    versionOf: (name) => keeper.peek(name)?.version,
    count: (count) => metrics.watching(count),
  })
  return {
    keeper,
    env,
    version,
    meter: metrics,
    settings,
    guesses: createGuessLimiter(env.clock),
    callbacks,
    watchers,
    authorising: options.authorising ?? nobodyAuthorises,
    sealer: createSealer(options.journeyKey ?? env.random.bytes(32), env),
    publicUrl: options.publicUrl ?? null,
    sinks: options.sinks ?? (() => []),
    hosts: new Set((options.hosts ?? []).map((host) => host.toLowerCase())),
    trail: options.trail ?? createTrail('', env.clock),
    noteAsk: createReAsks(keeper, env.clock),
    draining,
    document: () => (document ??= JSON.stringify(openapi([...routes, ...gatewayOperations], version))),
  }
}

const silence: Feed = {
  run: '-',
  last: () => 0,
  since: () => null,
  on: () => () => undefined,
  want: () => () => undefined,
}

const nobodyAuthorises: Authorising = {
  isFor: () => false,
  isEnteredByClick: () => Promise.reject(nobodyCan()),
  codeParameter: () => Promise.reject(nobodyCan()),
  link: () => Promise.reject(nobodyCan()),
  complete: () => Promise.reject(nobodyCan()),
  recover: () => Promise.reject(nobodyCan()),
}

function nobodyCan(): ZhongkongError {
  return new ZhongkongError('bad_request', 'this source is not authorised by a person')
}

function settingsOf({ access, compat }: Reloadable): Settings {
  return { access, compat, tokenboyAllow: addressList(compat.tokenboy?.allow ?? []) }
}

/** Unique and cheap: a random prefix for this process and a count. A well-formed id of the caller's is kept. */
function requestIds(env: Env): (given: string | null) => string {
  const prefix = Buffer.from(env.random.bytes(5)).toString('hex')
  let count = 0
  return (given) => {
    if (given !== null && /^[A-Za-z0-9._-]{1,64}$/.test(given)) return given
    count += 1
    return `${prefix}-${count.toString(36)}`
  }
}

async function carriedFor(
  gateway: Gateway,
  carry: Gateway['carry'],
  request: Request,
  peer: Peer,
): Promise<Carried | null> {
  const { pathname, search } = new URL(request.url)
  const target = pathname + search
  return gateway.mayTake(target) ? await carry(exchangeOf(request, target, peer)) : null
}

type Means = { readonly nextRequestId: (given: string | null) => string; readonly tell: Tell }

/** What the gateway throws, as an answer; and every call is counted as a request. */
function carrier({ env, meter }: House, gateway: Gateway, { nextRequestId, tell }: Means): Gateway['carry'] {
  return async (exchange) => {
    const startedAt = env.clock.monotonic()
    const carried = await gateway.carry(exchange).catch((thrown: unknown) => {
      const requestId = nextRequestId(headerOf(exchange.headers, 'x-request-id'))
      const language = languageOf(headerOf(exchange.headers, 'accept-language'))
      return refusalOf(tell(thrown, { route: gatewayRoute, requestId, language }), requestId)
    })
    if (carried !== null) {
      meter.observe(carried.route, carried.status, (env.clock.monotonic() - startedAt) / 1_000)
    }
    return carried
  }
}

/** As metrics and the log name what never got as far as an upstream. */
const gatewayRoute = '/proxy/{name}/{path}'

function refusalOf(answer: TextAnswer, requestId: string): Carried {
  const body = Buffer.from(answer.body ?? '')
  return { status: answer.status, headers: headersOf(answer, requestId), body, route: gatewayRoute }
}

/** Whether a path is one of the list, whatever the method. */
function isRouted(): (path: string) => boolean {
  const plain = new Set(routes.map(({ path }) => path).filter((path) => !path.includes('{')))
  const named = routes
    .filter(({ path }) => path.includes('{'))
    .map(({ path }) => new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`))
  return (path) => plain.has(path) || named.some((pattern) => pattern.test(path))
}

/** Hono carries the routing; everything else is decided here. */
function routed(house: House, tell: Tell): Hono<{ Bindings: Bindings }> {
  // The usual router compiles all routes into one expression first, which costs a start more than its matching ever saves.
  const app = new Hono<{ Bindings: Bindings }>({ router: new TrieRouter() })
  const told = (thrown: unknown, request: Request, { requestId, route }: Bindings): Response => {
    const language = languageOf(request.headers.get('accept-language'))
    return responseOf(tell(thrown, { route, requestId, language }), requestId)
  }
  for (const surface of routes) {
    app.on(surface.method, honoPath(surface.path), async (context) => {
      const bindings = context.env
      bindings.route = surface.path
      const answer = await answerOf(house, surface, context.req.raw, {
        peer: bindings.peer,
        name: context.req.param('name') ?? '',
      })
      return responseOf(answer, bindings.requestId)
    })
  }
  for (const path of new Set(routes.map((surface) => surface.path))) {
    const methods = routes.filter((surface) => surface.path === path).map((surface) => surface.method)
    const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ')
    app.all(honoPath(path), (context) => {
      context.env.route = path
      const error = new ZhongkongError('method_not_allowed', `this address takes ${allowed}`)
      const response = told(error, context.req.raw, context.env)
      response.headers.set('Allow', allowed)
      return response
    })
  }
  app.notFound((context) => told(new ZhongkongError('not_found', 'no such address'), context.req.raw, context.env))
  app.onError((thrown, context) => told(thrown, context.req.raw, context.env))
  return app
}

function honoPath(path: string): string {
  return path.replace('{name}', ':name')
}

/** Admission first: before the query, the body, the entity tag or the source is looked at. */
async function answerOf(
  house: House,
  surface: Surface,
  request: Request,
  { peer, name }: { readonly peer: Peer; readonly name: string },
): Promise<Answer> {
  const url = new URL(request.url)
  const credentials = credentialsOf(request, url)
  const admission = admit(house, surface.scope, name, { credentials, peer })
  if ('refused' in admission) throw refuse(house, admission, peer)
  const visit: Visit = {
    house,
    request,
    url,
    name,
    peer,
    credentials,
    client: admission.client,
    language: languageOf(request.headers.get('accept-language')),
    admitAgain: () => {
      const again = admit(house, surface.scope, name, { credentials, peer })
      if ('refused' in again) throw refuse(house, again, peer)
    },
  }
  return await surface.handler(visit)
}

function credentialsOf({ headers }: Request, url: URL): Credentials {
  return {
    authorization: headers.get('authorization'),
    // A Request made inside the process has no Host header; its URL says the same.
    host: headers.get('host') ?? url.host,
    origin: headers.get('origin'),
    fetchSite: headers.get('sec-fetch-site'),
    isForwarded: forwardedHeaders.some((name) => headers.has(name)),
  }
}
