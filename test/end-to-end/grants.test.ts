/**
 * What cannot be asked for again, on the real program over a real SQLite file: killed right after the upstream handed out a
 * rotation whose answer was on its way, and started again at once; and a person who authorises by the link of the command.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { eventually, openStage, type Served, type Stage, type Upstream } from './stage.ts'

let stage: Stage

beforeEach(async () => {
  stage = await openStage()
})

afterEach(async () => {
  await stage.close()
})

const secret = 'account-secret'

async function upstreamWith(graceSeconds: number): Promise<Upstream> {
  const knobs = { rotation: 'always' as const, refreshGraceSeconds: graceSeconds }
  return await stage.upstream({ accounts: [{ kind: 'oauth2', id: 'client', secret, knobs }] })
}

function definition({ url }: Upstream, more: object): object {
  return {
    provider: 'oauth2',
    token_url: `${url}/oauth2/token`,
    client_id: 'client',
    client_secret: secret,
    rotation: 'always',
    min_interval: 0,
    ...more,
  }
}

/** The state of the source as people see it, once it is `wanted`. */
async function stateOf(server: Served, wanted: string, withinMs: number): Promise<Record<string, unknown>> {
  return await eventually(`the source is ${wanted}`, withinMs, async () => {
    const { json } = await ask(`${server.url}/v1/sources/account`)
    return json.state === wanted ? (json as Record<string, unknown>) : null
  })
}

/** Asks for a refresh, and kills the server when the upstream has handed out what this answers. */
async function killInTheAir(server: Served, { simulator }: Upstream): Promise<void> {
  const { rotated } = simulator.refreshes('client')
  simulator.addFault({
    account: 'client',
    kinds: ['token'],
    effect: { type: 'slow', ms: 3_000, when: 'after' },
    times: 1,
  })
  void ask(`${server.url}/v1/tokens/account/refresh`, { method: 'POST' }).catch(() => undefined)
  await eventually('the upstream has handed out a rotation', 5_000, () =>
    Promise.resolve(simulator.refreshes('client').rotated > rotated ? true : null),
  )
  await server.stop('SIGKILL')
}

test('kill -9 after a rotation was handed out: it is asked for again within two seconds, and nothing is lost', async () => {
  const graceSeconds = 5
  const upstream = await upstreamWith(graceSeconds)
  const { simulator } = upstream
  const more = { grant: 'refresh_token', refresh_token: simulator.grant('client'), grace: `${graceSeconds}s` }
  const path = await stage.configure({ store: 'sqlite:tokens.db', sources: { account: definition(upstream, more) } })
  let server = await stage.serve(path)
  const retriedMs: number[] = []
  for (let kill = 0; kill < 4; kill += 1) {
    await stateOf(server, 'fresh', 10_000)
    const { repeated } = simulator.refreshes('client')
    await killInTheAir(server, upstream)
    const killedAt = performance.now()
    server = await stage.serve(path)
    const readyAt = performance.now()
    const isLost = await eventually('the lost answer is asked for again', 10_000, () => {
      const now = simulator.refreshes('client')
      return Promise.resolve(now.refused > 0 ? 'lost' : now.repeated > repeated ? 'found' : null)
    })
    if (isLost === 'lost') {
      // A machine on which a process takes longer to start than the upstream is patient.
      expect(performance.now() - killedAt).toBeGreaterThan(graceSeconds * 1_000 - 500)
      break
    }
    retriedMs.push(performance.now() - readyAt)
  }
  expect(retriedMs.length).toBeGreaterThan(0)
  expect(Math.max(...retriedMs)).toBeLessThan(2_000)
  if (simulator.refreshes('client').refused > 0) return
  await stateOf(server, 'fresh', 5_000)
  // The one that is in use now is the one that the upstream takes.
  const { json } = await ask(`${server.url}/v1/tokens/account/refresh`, { method: 'POST' })
  expect(json).toMatchObject({ refreshed: true })
  expect(simulator.refreshes('client')).toMatchObject({ refused: 0, repeated: 4 })
}, 120_000)

test('kill -9 after a rotation that no upstream repeats: a person is called for, while the token lives', async () => {
  const upstream = await upstreamWith(0)
  const { simulator } = upstream
  const authorization_url = `${upstream.url}/oauth2/authorize`
  const more = { grant: 'authorization_code', refresh_token: simulator.grant('client'), authorization_url }
  const path = await stage.configure({ store: 'sqlite:tokens.db', sources: { account: definition(upstream, more) } })
  const server = await stage.serve(path)
  await stateOf(server, 'fresh', 10_000)
  const { token } = (await ask(`${server.url}/v1/tokens/account`)).json
  await killInTheAir(server, upstream)
  const again = await stage.serve(path)
  const state = await stateOf(again, 'needs-authorization', 10_000)
  expect(state).toMatchObject({ authorize: '/authorize/account', trouble: { class: 'needs-authorization' } })
  expect((await ask(`${again.url}/v1/tokens/account`)).json).toMatchObject({ token })
  await eventually('the log says so', 5_000, () =>
    Promise.resolve(/failing.*needs-authorization/.test(again.stderr()) ? true : null),
  )
  const shown = await stage.run(['status'], { ZHONGKONG_URL: again.url })
  expect(shown.stdout).toMatch(/needs auth[^]*Authorise: zhongkong authorize account, or open\s+\/authorize\/account/)

  // And the way back: the link of the command, through a browser.
  const command = stage.start(['authorize', 'account'], { ZHONGKONG_URL: again.url })
  const link = await eventually('the command prints a link', 10_000, () =>
    Promise.resolve(
      /^http:\/\/127\.0\.0\.1:\d+\/authorize\/account\?start=[\w-]+$/m.exec(command.stdout())?.[0] ?? null,
    ),
  )
  expect((await browse(link)).status).toBe(200)
  expect(await command.ended).toMatchObject({ code: 0 })
  expect(command.stderr()).toContain('account is authorised')
  await stateOf(again, 'fresh', 5_000)
  expect((await browse(link)).status).toBe(403)
  const lines = `${command.stderr()}\n${shown.stdout}`.split('\n')
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  // Nothing that was granted stands in a log.
  const { tokens } = simulator.refreshes('client')
  expect(tokens.filter((one) => `${server.stderr()}${again.stderr()}${command.stderr()}`.includes(one))).toEqual([])
}, 60_000)

/** Follows redirects as a browser does, with cookies. */
async function browse(link: string): Promise<Response> {
  const cookies: string[] = []
  let url = link
  for (let hop = 0; hop < 5; hop += 1) {
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie: cookies.join('; ') } })
    const set = answer.headers.get('set-cookie')
    if (set !== null) cookies.push(set.split(';')[0] ?? '')
    const location = answer.headers.get('location')
    if (location === null) return answer
    url = location
  }
  throw new Error('it goes on for ever')
}
