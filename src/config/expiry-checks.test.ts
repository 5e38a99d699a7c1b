import { describe, expect, test } from 'vitest'
import { brief, load } from '../../test/config/harness.ts'

const keyHash = `sha256:${'ab'.repeat(32)}`
const source = 'sources: { a: { provider: wechat, appid: x, secret: "${S}" } }'
const environment = { S: 'a-secret-of-the-environment' }

const withExpiry = (expiry: string): string =>
  `${source}\nclients:\n  sdk:\n    key: ${keyHash}\n    read: [a]\n    expiry: ${expiry}\n`

const told = async (expiry: string): Promise<unknown> => {
  const { config, issues } = await load(withExpiry(expiry), { environment })
  expect(issues.map(brief)).toEqual([])
  return config?.clients[0]?.expiry
}

describe('expiry of a client', () => {
  test('the name of a library gives its margin', async () => {
    expect(await told('silenceper')).toEqual({ marginMs: 1_500_000, floorMs: 60_000, capMs: Infinity })
    expect(await told('{ sdk: wxjava, cap: 10m }')).toEqual({ marginMs: 200_000, floorMs: 60_000, capMs: 600_000 })
  })

  test('figures are durations in whole seconds', async () => {
    expect(await told('{ margin: 90, floor: 2m, cap: 1h }')).toEqual({
      marginMs: 90_000,
      floorMs: 120_000,
      capMs: 3_600_000,
    })
    expect(await told('{ sdk: wxjava, margin: 0 }')).toMatchObject({ marginMs: 0 })
  })

  test('nothing said is nothing changed', async () => {
    const { config } = await load(`${source}\nclients: { a: { key: "${keyHash}", read: [a] } }`, { environment })
    expect(config?.clients[0]).not.toHaveProperty('expiry')
    expect(config?.compat).not.toHaveProperty('expiry')
  })

  test('compat.expiry is for callers who are no client', async () => {
    const { config } = await load(`${source}\ncompat: { expiry: wechatpy }`, { environment })
    expect(config?.compat.expiry?.marginMs).toBe(60_000)
  })
})

test.each([
  [
    'silencper',
    '6:13 value_invalid clients.sdk.expiry',
    'There is no preset "silencper".',
    'Did you mean "silenceper"?',
  ],
  ['{ sdk: unheard-of }', '6:20 value_invalid clients.sdk.expiry.sdk', 'There is no preset "unheard-of".', 'Known: '],
  [
    '{ margn: 5 }',
    '6:15 key_unknown clients.sdk.expiry.margn',
    'There is no key "margn" here.',
    'Did you mean "margin"?',
  ],
  ['{ margin: soon }', '6:23 value_invalid clients.sdk.expiry.margin', 'It must be a duration in whole seconds', ''],
  ['{ floor: 0.5 }', '6:22 value_invalid clients.sdk.expiry.floor', 'It must be a duration in whole seconds', ''],
  ['{ cap: 2d }', '6:20 value_invalid clients.sdk.expiry.cap', 'It must be a duration in whole seconds', ''],
  [
    '{ sdk: wxjava, cap: 200 }',
    '6:33 value_invalid clients.sdk.expiry.cap',
    'The client takes 3m 20s off',
    'Let cap be',
  ],
  ['{ cap: 0 }', '6:20 value_invalid clients.sdk.expiry.cap', 'The client takes 0s off', 'Let cap be'],
])('%s is refused at its place, in both languages', async (expiry, place, message, fix) => {
  const { config, issues } = await load(withExpiry(expiry), { environment })
  expect(config).toBeNull()
  expect(issues.map(brief)).toEqual([place])
  expect(issues[0]?.message.en).toContain(message)
  expect(issues[0]?.message.zh).toMatch(/[一-鿿]/)
  expect(issues[0]?.fix?.en ?? '').toContain(fix)
})
