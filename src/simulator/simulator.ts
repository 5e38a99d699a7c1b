/**
 * The upstreams, played: WeChat, WeCom, DingTalk, Feishu, OAuth 2.0 and made-to-measure token addresses, as one function
 * from Request to Response. All time comes from `clock.now()`, which is the upstream's own truth; all chance from `random`. The same
 * calls with the same clock and chance give the same bytes.
 *
 * This is the door of the room. It shares no code with the providers, so that an error in the one shows at the other.
 */
import { z } from 'zod'
import { until } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import { accountSchema, demoAccounts, type Account } from './account.ts'
import type { AccountView, Origin, Simulator, SimulatorOptions, SimulatorState } from './contract.ts'
import { control, type Controlled } from './control.ts'
import { dingtalkPlans, dingtalkSuitePlans } from './dingtalk.ts'
import { FaultBoard, faultSchema } from './fault-board.ts'
import { feishuPlans, feishuStorePlans } from './feishu.ts'
import { genericPlans } from './generic.ts'
import { Journal } from './journal.ts'
import { partialKnobsSchema } from './knobs.ts'
import { bookOf, granted } from './oauth2-person.ts'
import { oauth2Plans } from './oauth2.ts'
import { loginPage } from './open-platform-page.ts'
import { componentPlan, openPlatformOf, type OpenPlatform } from './open-platform.ts'
import { parsed } from './parse.ts'
import { perform } from './perform.ts'
import { platformPlans } from './platforms/play.ts'
import { findPushing, pushDue } from './pusher.ts'
import { createRouter, type Router } from './router.ts'
import { respond } from './spoil.ts'
import { findSuite, suiteOf, type Suite } from './suite.ts'
import type { Visit } from './upstream.ts'
import { wechatPlans } from './wechat.ts'
import { wecomPlans, wecomProviderPlans, wecomSuitePlans } from './wecom.ts'
import { bytesOf, readBody } from './connection.ts'
import { World, type AccountState, type ChannelPlan } from './world.ts'

export type { Account, AccountSettings } from './account.ts'
export type * from './contract.ts'
export type { Effect, EffectSettings, EffectType } from './effect.ts'
export type { Fault, FaultSettings } from './fault-board.ts'
export type { Counters, JournalEntry, KindCounters } from './journal.ts'
export type { Knobs, PartialKnobs } from './knobs.ts'
export type { RefreshCounters } from './refresh-book.ts'
export type { CallKind } from './upstream.ts'
export type { SimulatorClock } from './world.ts'
export { demoAccounts }

const journalMax = 1_000

/** Everything that a reset makes anew. */
type Stage = { readonly world: World; readonly board: FaultBoard; readonly route: Router }

const plansByKind: Readonly<Record<Exclude<Account['kind'], 'platform'>, readonly ChannelPlan[]>> = {
  wechat: wechatPlans,
  'wechat-component': [componentPlan],
  wecom: wecomPlans,
  'wecom-provider': wecomProviderPlans,
  'wecom-suite': wecomSuitePlans,
  dingtalk: dingtalkPlans,
  'dingtalk-suite': dingtalkSuitePlans,
  feishu: feishuPlans,
  'feishu-store': feishuStorePlans,
  oauth2: oauth2Plans,
  generic: genericPlans,
}

function plansOf(account: Account): readonly ChannelPlan[] {
  return account.kind === 'platform' ? platformPlans(account.platform) : plansByKind[account.kind]
}

const revokeSchema = z.union([
  z.strictObject({ account: z.string(), channel: z.string().optional() }),
  z.strictObject({ token: z.string() }),
])

/** Makes a simulator; it runs nothing by itself and needs no stopping. */
export function createSimulator(options: SimulatorOptions): Simulator {
  let stage = build(options)
  const { clock } = options
  const controlled: Controlled = {
    ...accountMethods(() => stage),
    ...tokenMethods(() => stage),
    ...pushMethods(() => stage, options),
    ...suiteMethods(() => stage),
    ...platformMethods(() => stage),
    ...grantMethods(() => stage),
    addFault: (fault) => stage.board.add(parsed(faultSchema, fault)),
    removeFault: (id) => stage.board.remove(id),
    clearFaults: () => stage.board.clear(),
    faults: () => stage.board.list(),
    counters: (account) => stage.world.journal.counters(account),
    clearCounters: () => stage.world.journal.clear(),
    journal: () => stage.world.journal.entries(),
    state: () => stateOf(stage),
    reset: () => {
      stage = build(options)
    },
  }

  const fetch = async (request: Request, origin?: Origin): Promise<Response> => {
    const { signal } = request
    signal.throwIfAborted()
    const url = new URL(request.url)
    if (url.pathname.startsWith('/_simulator')) return await control(controlled, request, url)
    const { world, board, route } = stage
    const page = loginPage(world, url)
    if (page !== null) return page
    const destination = route(url)
    if (destination === null) return nothingThere(url)
    try {
      const call = await destination.upstream.receive(visitOf(request, url, destination.path, origin))
      const effects = board.take(call.account, call.kind)
      const state = call.account === null ? undefined : world.state(call.account)
      const delayMs = (state === undefined ? world.knobs : world.knobsOf(state)).delayMs[call.kind] ?? 0
      if (effects.length === 0 && delayMs === 0) {
        const answer = call.answer()
        world.journal.record(clock.now(), call, answer, [])
        return respond(answer)
      }
      // The upstream goes on with its work when the caller has given up: that is how late issues come about.
      return await until(perform(world, call, effects, delayMs), signal)
    } catch (error) {
      if (!(error instanceof ZhongkongError)) throw error
      return new Response(error.message, { status: error.status, headers: { 'content-type': 'text/plain' } })
    }
  }
  return { fetch, ...controlled }
}

function build(options: SimulatorOptions): Stage {
  const world = new World(options.clock, options.random, new Journal(options.journalMax ?? journalMax))
  world.setKnobs(parsed(partialKnobsSchema, options.knobs ?? {}))
  for (const account of options.accounts ?? demoAccounts) world.put(parsed(accountSchema, account))
  return { world, board: new FaultBoard(() => world.chance()), route: createRouter(world) }
}

type AccountMethods = Pick<Simulator, 'putAccount' | 'removeAccount' | 'setKnobs'>

function accountMethods(stage: () => Stage): AccountMethods {
  return {
    putAccount: (account) => stage().world.put(parsed(accountSchema, account)),
    removeAccount: (id) => stage().world.remove(id),
    setKnobs: (given, account) => {
      const { world } = stage()
      const knobs = parsed(partialKnobsSchema, given)
      if (account === undefined) {
        world.setKnobs(knobs)
        return
      }
      const known = stateNamed(world, account).account
      world.put({ ...known, knobs: { ...known.knobs, ...knobs } })
    },
  }
}

type TokenMethods = Pick<Simulator, 'revoke' | 'rotateByForeigner' | 'accepts' | 'latest'>

function tokenMethods(stage: () => Stage): TokenMethods {
  return {
    revoke: (given) => {
      const { world } = stage()
      const target = parsed(revokeSchema, given)
      const now = world.clock.now()
      if ('token' in target) {
        const judged = world.judge(target.token)
        if (judged?.verdict !== 'alive') return 0
        judged.issue.endsAt = now
        return 1
      }
      const state = stateNamed(world, target.account)
      const plans = target.channel === undefined ? plansOf(state.account) : [planNamed(state, target.channel)]
      const revoked = plans.map((plan) => state.channels.get(plan.name)?.revokeAll(now) ?? 0)
      return revoked.reduce((sum, one) => sum + one, 0)
    },
    rotateByForeigner: (account, channel) => {
      const { world } = stage()
      const state = stateNamed(world, account)
      const line = world.channel(state, planNamed(state, channel))
      const now = world.clock.now()
      const value = line.rotateAt(now)
      line.current(now)
      return value
    },
    accepts: (token) => stage().world.judge(token)?.verdict === 'alive',
    latest: (account, channel) => {
      const { world } = stage()
      const state = stateNamed(world, account)
      const line = state.channels.get(planNamed(state, channel).name)
      return line?.current(world.clock.now())?.value ?? null
    },
  }
}

type PushMethods = Pick<Simulator, 'pushDue' | 'makeTicket'>

function pushMethods(stage: () => Stage, { send }: SimulatorOptions): PushMethods {
  return {
    pushDue: () => (send === undefined ? Promise.resolve({ taken: 0, lost: 0 }) : pushDue(stage().world, send)),
    makeTicket: (id) => {
      const pushing = findPushing(stage().world, id)
      if (pushing === null) throw new ZhongkongError('not_found', `there is no third-party app or platform ${id}`)
      return pushing.makeTicket()
    },
  }
}

type SuiteMethods = Pick<Simulator, 'install' | 'uninstall' | 'resetCode' | 'changeAuth'>

/** What happens to third-party apps and the organisations that install them. */
function suiteMethods(stage: () => Stage): SuiteMethods {
  const named = (id: string): Suite => {
    const { world } = stage()
    const state = findSuite(world, id)
    if (state === null) throw new ZhongkongError('not_found', `there is no third-party app ${id}`)
    return suiteOf(world, state)
  }
  return {
    install: (id, organisation) => named(id).install(organisation),
    uninstall: (id, organisation) => named(id).remove(organisation),
    resetCode: (id, organisation) => named(id).reset(organisation),
    changeAuth: (id, organisation) => named(id).change(organisation),
  }
}

type PlatformMethods = Pick<Simulator, 'authorise' | 'withdrawAuthorisation' | 'rotateRefreshToken'>

/** What happens to WeChat's third-party platforms and the accounts that authorise them. */
function platformMethods(stage: () => Stage): PlatformMethods {
  const platform = (id: string): OpenPlatform => {
    const { world } = stage()
    const state = world.find('wechat-component', id)
    if (state === null) throw new ZhongkongError('not_found', `there is no third-party platform ${id}`)
    return openPlatformOf(world, state)
  }
  return {
    authorise: (component, account) => platform(component).authorise(account).code,
    withdrawAuthorisation: (component, account) => platform(component).withdraw(account),
    rotateRefreshToken: (component, account) => platform(component).rotate(account),
  }
}

type GrantMethods = Pick<Simulator, 'grant' | 'refreshes' | 'withdraw'>

function grantMethods(stage: () => Stage): GrantMethods {
  const client = (account: string): AccountState => {
    const state = stateNamed(stage().world, account)
    if (state.account.kind === 'oauth2') return state
    throw new ZhongkongError('bad_request', `nobody grants anything to ${account}: it is no OAuth 2.0 client`)
  }
  return {
    grant: (account) => granted(stage().world, client(account)).next ?? '',
    refreshes: (account) => {
      const { counters, tokens } = bookOf(client(account))
      return { ...counters, tokens }
    },
    withdraw: (account) => bookOf(client(account)).withdraw(stage().world.clock.now()),
  }
}

function stateNamed(world: World, id: string): AccountState {
  const state = world.state(id)
  if (state === undefined) throw new ZhongkongError('not_found', `there is no account ${id}`)
  return state
}

function planNamed(state: AccountState, channel: string | undefined): ChannelPlan {
  const plans = plansOf(state.account)
  const plan = channel === undefined ? plans[0] : plans.find(({ name }) => name === channel)
  if (plan !== undefined) return plan
  const names = plans.map(({ name }) => name).join(', ')
  throw new ZhongkongError('not_found', `an account of kind ${state.account.kind} has the channels ${names}`)
}

function stateOf(stage: Stage): SimulatorState {
  const { world, board } = stage
  const now = world.clock.now()
  return {
    now,
    knobs: world.knobs,
    accounts: Array.from(world.states(), (state) => view(state, now)),
    faults: board.list(),
  }
}

function view(state: AccountState, now: number): AccountView {
  const { kind, id, knobs = {} } = state.account
  const channels = [...state.channels].flatMap(([name, channel]) => {
    const issue = channel.current(now)
    if (issue === null) return []
    return [{ name, token: issue.value, expiresAt: issue.expiresAt, isAlive: channel.verdict(issue, now) === 'alive' }]
  })
  return { kind, id, knobs, channels }
}

function visitOf(request: Request, url: URL, path: string, origin: Origin | undefined): Visit {
  return {
    method: request.method,
    path,
    query: url.searchParams,
    origin: url.origin,
    headers: request.headers,
    ip: addressOf(request, origin),
    text: () => readBody(request),
    bytes: () => bytesOf(request),
  }
}

/** Through a proxy, an upstream sees the proxy's address. */
function addressOf(request: Request, origin: Origin | undefined): string {
  if (origin?.proxy !== undefined) return new URL(origin.proxy).hostname
  return origin?.ip ?? request.headers.get('x-simulator-ip') ?? '127.0.0.1'
}

function nothingThere(url: URL): Response {
  const text = `Nothing is simulated at ${url.pathname}. WeChat is at /wechat, WeCom at /wecom, DingTalk at /dingtalk, Feishu at /feishu, see also /_simulator/.\n`
  return new Response(text, { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' } })
}
