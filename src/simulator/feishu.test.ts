import { describe, expect, it } from 'vitest'
import { stage, type Body, type Stage, type StageOptions } from '../../test/simulator/stage.ts'

const accounts = [{ kind: 'feishu', id: 'cli_1', secret: 's1' }] as const
const feishu = (options: StageOptions = {}): Stage => stage({ accounts, ...options })
const internal = (type: 'tenant' | 'app'): string => `/feishu/open-apis/auth/v3/${type}_access_token/internal`
const credentials = { app_id: 'cli_1', app_secret: 's1' }

async function ask(
  { send }: Stage,
  path: string,
  authorization: string | null,
  method = 'GET',
): Promise<[number, Body]> {
  const headers = authorization === null ? {} : { authorization }
  const response = await send(`/feishu/open-apis/${path}`, { method, headers })
  return [response.status, (await response.json()) as Body]
}

describe('Feishu’s token calls', () => {
  it('give the same tenant token while half an hour is left, then a new one beside it', async () => {
    const at = feishu()
    const first = await at.post(internal('tenant'), credentials)
    expect(Object.keys(first)).toEqual(['code', 'msg', 'tenant_access_token', 'expire'])
    expect(first).toMatchObject({ code: 0, msg: 'ok', expire: 7200 })
    expect(first.tenant_access_token).toMatch(/^t-[\w-]{40}$/)
    await at.clock.advance(5_400_000)
    expect(await at.post(internal('tenant'), credentials)).toEqual({ ...first, expire: 1_800 })
    await at.clock.advance(1)
    const second = await at.post(internal('tenant'), credentials)
    expect(second.expire).toBe(7200)
    expect(at.simulator.accepts(String(first.tenant_access_token))).toBe(true)
    await at.clock.advance(1_799_999)
    expect(at.simulator.accepts(String(first.tenant_access_token))).toBe(false)
    expect(at.simulator.counters('cli_1').token).toMatchObject({ calls: 3, issued: 2, repeated: 1 })
  })

  it('tell the tenant’s token beside that of the app', async () => {
    const at = feishu()
    const told = await at.post(internal('app'), credentials)
    expect(told.app_access_token).toMatch(/^a-/)
    expect((await at.post(internal('tenant'), credentials)).tenant_access_token).toBe(told.tenant_access_token)
  })

  it('shrink the window of short lives to a quarter', async () => {
    const at = feishu({ knobs: { ttlSeconds: 60 } })
    const first = await at.post(internal('tenant'), credentials)
    await at.clock.advance(45_000)
    expect((await at.post(internal('tenant'), credentials)).tenant_access_token).toBe(first.tenant_access_token)
    await at.clock.advance(1_000)
    expect((await at.post(internal('tenant'), credentials)).tenant_access_token).not.toBe(first.tenant_access_token)
  })

  it.each([
    [undefined, 10003],
    [{ app_id: 'cli_1' }, 10003],
    [{ app_id: 'x', app_secret: 's1' }, 10003],
    [{ app_id: 'cli_9', app_secret: 's1' }, 10014],
    [{ app_id: 'cli_1', app_secret: 'bad' }, 10015],
  ])('refuse %j with HTTP 200 and %i', async (body, code) => {
    const init = { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const response = await feishu().send(internal('tenant'), init)
    expect([response.status, ((await response.json()) as Body).code]).toEqual([200, code])
  })

  it('404 by GET', async () => {
    expect((await feishu().send(internal('tenant'))).status).toBe(404)
  })

  it('say in a header when a limit is over', async () => {
    const at = feishu()
    at.simulator.addFault({ effect: { type: 'errcode', code: 99991400 } })
    const response = await at.send(internal('tenant'), { method: 'POST', body: JSON.stringify(credentials) })
    expect([response.status, response.headers.get('x-ogw-ratelimit-reset')]).toEqual([429, '30'])
  })
})

describe('a token of Feishu', () => {
  it('is checked in the Authorization header, with HTTP 400', async () => {
    const at = feishu()
    const token = String((await at.post(internal('tenant'), credentials)).tenant_access_token)
    const path = 'bot/v3/info'
    expect(await ask(at, path, `Bearer ${token}`)).toEqual([200, { code: 0, msg: 'ok', data: {} }])
    expect(await ask(at, path, null)).toMatchObject([400, { code: 99991661 }])
    expect(await ask(at, path, token)).toMatchObject([400, { code: 99991661 }])
    expect(await ask(at, path, 'Bearer t-bad')).toMatchObject([400, { code: 99991663 }])
    expect(await ask(at, path, 'Bearer a-bad')).toMatchObject([400, { code: 99991664 }])
    expect(await ask(at, path, 'Bearer u-bad')).toMatchObject([400, { code: 99991668 }])
    expect(await ask(at, path, 'Bearer nonsense')).toMatchObject([400, { code: 99991671 }])
    at.simulator.revoke({ account: 'cli_1' })
    expect(await ask(at, path, `Bearer ${token}`)).toMatchObject([400, { code: 99991663 }])
  })

  it('brings the ticket, which opens nothing itself', async () => {
    const at = feishu()
    const token = String((await at.post(internal('tenant'), credentials)).tenant_access_token)
    const [status, told] = await ask(at, 'jssdk/ticket/get', `Bearer ${token}`, 'POST')
    expect([status, told]).toMatchObject([200, { code: 0, msg: 'ok', data: { expire_in: 7200 } }])
    const { ticket } = told.data as { ticket: string }
    expect(await ask(at, 'bot/v3/info', `Bearer ${ticket}`)).toMatchObject([400, { code: 99991671 }])
  })

  it('is found at the root and under its host names', async () => {
    const at = feishu()
    for (const base of ['http://simulator', 'https://open.feishu.cn', 'https://open.larksuite.com']) {
      const init = { method: 'POST', body: JSON.stringify(credentials) }
      const url = `${base}/open-apis/auth/v3/tenant_access_token/internal`
      expect(((await (await at.simulator.fetch(new Request(url, init))).json()) as Body).code).toBe(0)
    }
  })
})
