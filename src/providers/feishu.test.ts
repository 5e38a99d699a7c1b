import { describe, expect, it } from 'vitest'
import { askScripted, gist, input, json, source } from '../../test/providers/scripted.ts'

const tenant = { provider: 'feishu', app_id: 'cli_1', secret: 'canary-secret' } as const
const ticket = { provider: 'feishu-ticket', of: 'above' } as const
const inputs = { above: input('t-0') }

describe('feishu', () => {
  it.each([
    [{}, 'https://open.feishu.cn/open-apis/auth/v3/tenant_access_token/internal', 't-1'],
    [{ type: 'app' }, 'https://open.feishu.cn/open-apis/auth/v3/app_access_token/internal', 'a-1'],
    [{ region: 'lark' }, 'https://open.larksuite.com/open-apis/auth/v3/tenant_access_token/internal', 't-1'],
    [{ base_url: 'http://10.0.0.1/x/' }, 'http://10.0.0.1/x/open-apis/auth/v3/tenant_access_token/internal', 't-1'],
  ])('%j posts id and secret to %s', async (more, url, value) => {
    const body = { code: 0, msg: 'ok', app_access_token: 'a-1', tenant_access_token: 't-1', expire: 4_567 }
    const asked = await askScripted({ ...tenant, ...more }, () => json(body))
    expect(asked.attempt).toMatchObject({ issued: { value, lifetimeMs: 4_567_000 } })
    expect([asked.requests[0]?.method, asked.requests[0]?.url]).toEqual(['POST', url])
    expect(JSON.parse(asked.bodies[0] ?? '')).toEqual({ app_id: 'cli_1', app_secret: 'canary-secret' })
  })

  it('is another token by another app, type, region or place', () => {
    const others = [{}, { app_id: 'cli_2' }, { type: 'app' }, { region: 'lark' }, { base_url: 'http://10.0.0.1' }]
    expect(new Set(others.map((more) => source({ ...tenant, ...more }).identity)).size).toBe(others.length)
  })
})

describe('feishu-ticket', () => {
  it('posts with the token in the header, and finds the ticket below data', async () => {
    const body = { code: 0, msg: 'ok', data: { expire_in: 7_200, ticket: 'J' } }
    const asked = await askScripted(ticket, () => json(body), { inputs })
    expect(gist(asked)).toBe('issued 7200000')
    expect(asked.requests[0]?.url).toBe('https://open.feishu.cn/open-apis/jssdk/ticket/get')
    expect(asked.requests[0]?.headers.get('authorization')).toBe('Bearer t-0')
  })

  it('asks the region and the place of its token’s source', () => {
    const above = { ...tenant, region: 'lark', base_url: 'http://10.0.0.1/lark' }
    expect(source(ticket, () => above).settings).toMatchObject({ region: 'lark', base_url: 'http://10.0.0.1/lark' })
  })

  it.each([{}, { data: null }, { data: [] }, { data: 'x' }, { ticket: 'J' }])(
    'does not take %j for a ticket',
    async (more) => {
      const asked = await askScripted(ticket, () => json({ code: 0, msg: 'ok', ...more }), { inputs })
      expect(gist(asked)).toBe('unknown token_unusable')
    },
  )

  it('reports the token that was refused with HTTP 400', async () => {
    const body = { code: 99991663, msg: 'Invalid access token for authorization: t-0000000' }
    const { attempt } = await askScripted(ticket, () => json(body, { status: 400 }), {
      inputs: { above: input('t-0000000') },
    })
    expect(attempt).toMatchObject({ outcome: 'rejected', class: 'transient', refusedInput: 'above' })
    expect(JSON.stringify(attempt)).not.toContain('t-0000000')
  })
})

describe('a limit of Feishu', () => {
  const limited = { code: 99991400, msg: 'request trigger frequency limit' }
  const told = async (status: number, headers: Record<string, string>): Promise<string> =>
    gist(await askScripted(tenant, () => json(limited, { status, headers })))

  it('is over when its header says, with HTTP 429 and with 400', async () => {
    expect(await told(429, { 'x-ogw-ratelimit-reset': '7' })).toBe('rejected quota upstream_busy 7000')
    expect(await told(400, { 'x-ogw-ratelimit-reset': '7' })).toBe('rejected quota upstream_rejected 7000')
  })

  it('is believed to last a minute when no header says, and never more than an hour', async () => {
    expect(await told(400, {})).toBe('rejected quota upstream_rejected 60000')
    expect(await told(400, { 'x-ogw-ratelimit-reset': '99999' })).toBe('rejected quota upstream_rejected 3600000')
    expect(await told(400, { 'x-ogw-ratelimit-reset': '-1' })).toBe('rejected quota upstream_rejected 60000')
  })

  it('yields to Retry-After', async () => {
    expect(await told(429, { 'retry-after': '3', 'x-ogw-ratelimit-reset': '7' })).toBe(
      'rejected quota upstream_busy 3000',
    )
  })
})
