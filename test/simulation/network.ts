/**
 * The way between the nodes and the upstreams: delays, lost requests, lost and garbled answers. The upstream is the
 * project's own simulator; whatever is changed here is changed on the way.
 */
import type { SimulatedNode } from './node.ts'
import type { World } from './world.ts'

/** One issuing request, from leaving the node to the end of its answer. */
export type Flight = {
  readonly channel: string
  readonly node: SimulatedNode
  readonly process: string | null
  readonly leftAt: number
  readonly epoch: number
  reachedAt: number | null
  issuedAt: number | null
  /** Issued when its lease was over or somebody else's. */
  isLate: boolean
  /** When its whole answer came to the node; null before, and when it was spoilt. */
  heardAt: number | null
  /** When the node stopped waiting for the answer; null while it waits. */
  givenUpAt: number | null
}

/** Where platforms are asked whether a token lives. */
export const probePath = '/cgi-bin/getcallbackip'

export class Network {
  readonly #world: World
  readonly flights = new Set<Flight>()
  isOut = false

  constructor(world: World) {
    this.#world = world
  }

  async send(node: SimulatedNode, request: Request): Promise<Response> {
    const world = this.#world
    const { time } = world
    // Once the process is dead it can no longer say its name.
    const { process } = node
    const body = request.method === 'GET' ? null : await request.clone().text()
    const channel = channelOf(new URL(request.url))
    const flight: Flight = {
      channel,
      node,
      process,
      leftAt: time.now(),
      epoch: world.store.entry(channel)?.epoch ?? 0,
      reachedAt: null,
      issuedAt: null,
      isLate: false,
      heardAt: null,
      givenUpAt: null,
    }
    world.checks.leaving(flight, request, body)
    if (channel === 'oauth') world.grants.leaving(flight, body)
    this.flights.add(flight)
    // For the node it is over when it gives up; the request itself goes on.
    const giveUp = (): void => {
      flight.givenUpAt = time.now()
      this.flights.delete(flight)
    }
    request.signal.addEventListener('abort', giveUp, { once: true })
    try {
      return await this.#travel(flight, request, body)
    } finally {
      request.signal.removeEventListener('abort', giveUp)
      this.flights.delete(flight)
      world.checks.ended(flight)
    }
  }

  /** A question whether a token lives. Nothing is issued by it, so it is no flight. */
  async probe(node: SimulatedNode, request: Request): Promise<Response> {
    const world = this.#world
    await world.time.wait(world.chance.between(1, 40))
    if (this.isOut || node.isOffline) throw connectionError('ECONNREFUSED')
    const token = new URL(request.url).searchParams.get('access_token') ?? ''
    const name = world.checks.probed(token)
    const refused = this.#refusal(name)
    return refused ?? (await this.#back({ channel: name }, await world.simulator.fetch(new Request(request.url))))
  }

  async #travel(flight: Flight, request: Request, body: string | null): Promise<Response> {
    const world = this.#world
    const { chance, time } = world
    // A process may be paused between its last look at the clock and the moment the bytes leave.
    if (world.strikes('send-late')) {
      const late = chance.between(1_000, 80_000)
      flight.node.pause(late)
      await time.wait(late)
    }
    await time.wait(chance.between(1, 40))
    if (this.isOut || flight.node.isOffline) {
      if (chance.is(0.5)) throw connectionError('ECONNREFUSED')
      await time.wait(120_000)
      throw connectionError('ETIMEDOUT')
    }
    if (world.strikes('request-lost', flight.channel)) {
      await time.wait(10_800_000)
      throw connectionError('ECONNRESET')
    }
    // The upstream is slow before it issues: the caller gives up first, and the issue happens all the same.
    if (world.strikes('request-late', flight.channel)) await time.wait(chance.between(2_000, 60_000))
    const refused = this.#refusal(flight.channel)
    if (refused !== null) return refused
    flight.reachedAt = time.now()
    const noIssue = chance.is(0.5)
    if (noIssue && world.strikes('answer-5xx', flight.channel))
      return new Response('<html>bad gateway</html>', { status: 502 })
    const response = await world.simulator.fetch(
      new Request(request.url, { method: request.method, headers: request.headers, body }),
    )
    flight.issuedAt = time.now()
    if (flight.channel === 'oauth') await world.grants.answered(flight, body, response)
    world.checks.issued(flight)
    if (flight.node.process === flight.process) flight.node.mayDieInFlight(new URL(request.url).pathname)
    const answer = await this.#back(flight, response)
    if (answer === response) flight.heardAt = time.now()
    return answer
  }

  async #back({ channel }: Pick<Flight, 'channel'>, response: Response): Promise<Response> {
    const world = this.#world
    const { chance, time } = world
    if (world.strikes('answer-slow', channel)) await time.wait(chance.between(500, 20_000))
    await time.wait(chance.between(1, 60))
    if (world.strikes('answer-lost', channel)) {
      await time.wait(chance.pick([0, 100, 60_000]))
      throw connectionError('ECONNRESET')
    }
    if (world.strikes('answer-5xx', channel)) return new Response('upstream connect error', { status: 503 })
    if (world.strikes('answer-garbled', channel)) {
      const text = await response.text()
      const garbled = chance.pick([
        text.slice(0, Math.floor(text.length * chance.next())),
        '<!DOCTYPE html><html><body>Please log in</body></html>',
        '',
        text.replace(/"expires_in":\s*\d+/, '"expires_in":"7200s"'),
      ])
      return new Response(garbled, { status: 200, headers: { 'content-type': 'application/json' } })
    }
    return response
  }

  #refusal(channel: string): Response | null {
    const world = this.#world
    if (world.strikes('refused-transient', channel)) {
      if (channel === 'oauth') return json({ error: 'temporarily_unavailable' }, 503)
      return json({ errcode: -1, errmsg: 'system error' })
    }
    if (channel !== 'http' && channel !== 'oauth' && world.strikes('refused-quota', channel)) {
      return json({ errcode: 45011, errmsg: 'api minute-quota reach limit, must slower, retry next minute' })
    }
    return null
  }
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json' } })
}

/** Which source a request belongs to, told by what it asks for. */
function channelOf(url: URL): string {
  switch (url.pathname) {
    case '/cgi-bin/token':
      return url.searchParams.get('appid') === 'wxdynamic' ? 'dynamic' : 'classic'
    case '/cgi-bin/stable_token':
      return 'stable'
    case '/cgi-bin/ticket/getticket':
      return 'ticket'
    case '/cgi-bin/gettoken':
    case '/wecom/cgi-bin/gettoken':
      return 'wecom'
    default:
      return url.pathname.startsWith('/generic/') ? 'http' : url.pathname.startsWith('/oauth2/') ? 'oauth' : 'unknown'
  }
}

function connectionError(code: string): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
}
