/**
 * The control API under `/_simulator/`: everything the simulator's methods do, over HTTP, for tests that live in
 * another process. docs/simulator.md describes it; keep the two equal.
 */
import { z } from 'zod'
import { ZhongkongError } from '../base/errors.ts'
import type { AccountSettings } from './account.ts'
import type { RevokeTarget, Simulator } from './contract.ts'
import type { FaultSettings } from './fault-board.ts'
import type { PartialKnobs } from './knobs.ts'
import { parsed } from './parse.ts'
import { readBody } from './connection.ts'

export type Controlled = Omit<Simulator, 'fetch'>

type Order = {
  readonly simulator: Controlled
  readonly id: string | undefined
  readonly query: URLSearchParams
  readonly body: () => Promise<unknown>
}
type Handler = (order: Order) => unknown

const done = { ok: true }
const tokenBody = z.strictObject({ token: z.string().min(1) })
const accountBody = z.strictObject({ account: z.string().min(1) })
const authorisationBody = z.strictObject({ component: z.string().min(1), account: z.string().min(1).max(128) })
const rotateBody = z.strictObject({ account: z.string().min(1), channel: z.string().min(1).optional() })
const organisationBody = z.strictObject({ account: z.string().min(1), organisation: z.string().min(1).max(128) })

/** `METHOD part`, or `METHOD part/` when an id follows. The methods of the simulator judge what they are given. */
const routes: Readonly<Record<string, Handler>> = {
  'GET ': () => ({ routes: Object.keys(routes).map(shown) }),
  'GET state': ({ simulator }) => simulator.state(),
  'GET accounts': ({ simulator }) => simulator.state().accounts,
  'POST accounts': async ({ simulator, body }) => {
    simulator.putAccount((await body()) as AccountSettings)
    return done
  },
  'PUT accounts/': async ({ simulator, id, body }) => {
    simulator.putAccount(Object.assign({}, await body(), { id }) as AccountSettings)
    return done
  },
  'DELETE accounts/': ({ simulator, id = '' }) => found(simulator.removeAccount(id), `account ${id}`),
  'GET knobs': ({ simulator }) => simulator.state().knobs,
  'PATCH knobs': async ({ simulator, body }) => {
    simulator.setKnobs((await body()) as PartialKnobs)
    return simulator.state().knobs
  },
  'PATCH knobs/': async ({ simulator, id = '', body }) => {
    simulator.setKnobs((await body()) as PartialKnobs, id)
    return done
  },
  'GET faults': ({ simulator }) => simulator.faults(),
  'POST faults': async ({ simulator, body }) => ({ id: simulator.addFault((await body()) as FaultSettings) }),
  'DELETE faults': ({ simulator }) => {
    simulator.clearFaults()
    return done
  },
  'DELETE faults/': ({ simulator, id = '' }) => found(simulator.removeFault(id), `fault ${id}`),
  'GET counters': ({ simulator }) => simulator.counters(),
  'GET counters/': ({ simulator, id }) => simulator.counters(id),
  'DELETE counters': ({ simulator }) => {
    simulator.clearCounters()
    return done
  },
  'GET journal': ({ simulator, query }) => {
    const account = query.get('account')
    return simulator.journal().filter((entry) => account === null || entry.account === account)
  },
  'POST revoke': async ({ simulator, body }) => ({ revoked: simulator.revoke((await body()) as RevokeTarget) }),
  'POST rotate': async ({ simulator, body }) => {
    const { account, channel } = parsed(rotateBody, await body())
    return { token: simulator.rotateByForeigner(account, channel) }
  },
  'POST grant': async ({ simulator, body }) => ({
    refresh_token: simulator.grant(parsed(accountBody, await body()).account),
  }),
  'GET refreshes/': ({ simulator, id = '' }) => simulator.refreshes(id),
  'POST withdraw': async ({ simulator, body }) => ({
    withdrawn: simulator.withdraw(parsed(accountBody, await body()).account),
  }),
  'POST authorise': async ({ simulator, body }) => {
    const { component, account } = parsed(authorisationBody, await body())
    return { auth_code: simulator.authorise(component, account) }
  },
  'POST withdraw-authorisation': async ({ simulator, body }) => {
    const { component, account } = parsed(authorisationBody, await body())
    return found(simulator.withdrawAuthorisation(component, account), `authorisation of ${component} by ${account}`)
  },
  'POST rotate-refresh-token': async ({ simulator, body }) => {
    const { component, account } = parsed(authorisationBody, await body())
    simulator.rotateRefreshToken(component, account)
    return done
  },
  'POST accepts': async ({ simulator, body }) => ({
    accepted: simulator.accepts(parsed(tokenBody, await body()).token),
  }),
  'POST install': async ({ simulator, body }) => {
    const { account, organisation } = parsed(organisationBody, await body())
    return { code: simulator.install(account, organisation) }
  },
  'POST uninstall': async ({ simulator, body }) => {
    const { account, organisation } = parsed(organisationBody, await body())
    return found(simulator.uninstall(account, organisation), `authorisation by ${organisation}`)
  },
  'POST reset-code': async ({ simulator, body }) => {
    const { account, organisation } = parsed(organisationBody, await body())
    return found(simulator.resetCode(account, organisation), `authorisation by ${organisation}`)
  },
  'POST change-auth': async ({ simulator, body }) => {
    const { account, organisation } = parsed(organisationBody, await body())
    return found(simulator.changeAuth(account, organisation), `authorisation by ${organisation}`)
  },
  'POST push': async ({ simulator }) => await simulator.pushDue(),
  'POST ticket': async ({ simulator, body }) => ({
    ticket: simulator.makeTicket(parsed(accountBody, await body()).account),
  }),
  'POST reset': ({ simulator }) => {
    simulator.reset()
    return done
  },
}

/** Answers a request whose path begins with `/_simulator`. */
export async function control(simulator: Controlled, request: Request, url: URL): Promise<Response> {
  try {
    const [part = '', ...rest] = url.pathname.slice('/_simulator'.length).replace(/^\//, '').split('/')
    const id = rest.length === 0 || rest[0] === '' ? undefined : decodeURIComponent(rest.join('/'))
    const place = id === undefined ? part : `${part}/`
    const handler = Object.hasOwn(routes, `${request.method} ${place}`)
      ? routes[`${request.method} ${place}`]
      : undefined
    if (handler === undefined) throw noRoute(place)
    const order: Order = { simulator, id, query: url.searchParams, body: () => readJson(request) }
    return json(200, await handler(order))
  } catch (error) {
    if (error instanceof URIError)
      return json(400, { error: { code: 'bad_request', message: 'the path is not valid' } })
    if (!(error instanceof ZhongkongError)) throw error
    return json(error.status, { error: { code: error.code, message: error.message } })
  }
}

/** A route as people write it. */
function shown(route: string): string {
  const [method = '', place = ''] = route.split(' ')
  return `${method} /_simulator/${place}${place.endsWith('/') ? 'ID' : ''}`
}

function noRoute(place: string): ZhongkongError {
  const methods = Object.keys(routes).filter((route) => route.endsWith(` ${place}`))
  if (methods.length === 0) return new ZhongkongError('not_found', 'see GET /_simulator/ for what there is')
  const names = methods.map((route) => route.split(' ')[0] ?? '')
  return new ZhongkongError('method_not_allowed', `here one may ${names.join(', ')}`)
}

function found(isFound: boolean, what: string): typeof done {
  if (!isFound) throw new ZhongkongError('not_found', `there is no ${what}`)
  return done
}

async function readJson(request: Request): Promise<unknown> {
  const text = await readBody(request)
  try {
    return JSON.parse(text)
  } catch {
    throw new ZhongkongError('bad_request', 'the body is not JSON')
  }
}

function json(status: number, body: unknown): Response {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
  return new Response(`${JSON.stringify(body, null, 2)}\n`, { status, headers })
}
