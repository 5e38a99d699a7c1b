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
}

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
    }
    world.checks.leaving(flight, request, body)
    this.flights.add(flight)
    // For the node it is over when it gives up; the request itself goes on.
    request.signal.addEventListener('abort', () => this.flights.delete(flight), { once: true })
    try {
      return await this.#travel(flight, request, body)
    } finally {
      this.flights.delete(flight)
      world.checks.ended(flight)
    }
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
    if (world.strikes('request-lost')) {
      await time.wait(10_800_000)
      throw connectionError('ECONNRESET')
    }
    // The upstream is slow before it issues: the caller gives up first, and the issue happens all the same.
    if (world.strikes('request-late')) await time.wait(chance.between(2_000, 60_000))
    const refused = this.#refusal(flight.channel)
    if (refused !== null) return refused
    flight.reachedAt = time.now()
    const noIssue = chance.is(0.5)
    if (noIssue && world.strikes('answer-5xx')) return new Response('<html>bad gateway</html>', { status: 502 })
    const response = await world.simulator.fetch(
      new Request(request.url, { method: request.method, headers: request.headers, body }),
    )
    flight.issuedAt = time.now()
    world.checks.issued(flight)
    return await this.#back(response)
  }

  async #back(response: Response): Promise<Response> {
    const world = this.#world
    const { chance, time } = world
    if (world.strikes('answer-slow')) await time.wait(chance.between(500, 20_000))
    await time.wait(chance.between(1, 60))
    if (world.strikes('answer-lost')) {
      await time.wait(chance.pick([0, 100, 60_000]))
      throw connectionError('ECONNRESET')
    }
    if (world.strikes('answer-5xx')) return new Response('upstream connect error', { status: 503 })
    if (world.strikes('answer-garbled')) {
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
    if (world.strikes('refused-transient')) return json({ errcode: -1, errmsg: 'system error' })
    if (channel !== 'http' && world.strikes('refused-quota')) {
      return json({ errcode: 45011, errmsg: 'api minute-quota reach limit, must slower, retry next minute' })
    }
    return null
  }
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { 'content-type': 'application/json' } })
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
