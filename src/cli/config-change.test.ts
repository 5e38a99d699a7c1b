import { describe, expect, it } from 'vitest'
import { Secret } from '../base/secret.ts'
import type { Config } from '../config/config.ts'
import type { ClientGrant } from '../model/client.ts'
import type { Source } from '../model/source.ts'
import { configChange, inForce, isEmptyChange } from './config-change.ts'

const keyHash = 'the-hash-of-a-key'
const source = (name: string, generation: string): Source => ({ name, generation }) as Source
const client = (name: string, read: string[]): ClientGrant => ({
  name,
  keyHash,
  read,
  refresh: [],
  gateway: [],
  admin: false,
})

const config: Config = {
  path: '/zhongkong.yaml',
  server: { listen: '127.0.0.1:8888', tls: null, trustedNetwork: false, workers: 1 },
  encryptionKey: null,
  store: 'memory:',
  spill: null,
  sources: [source('weixin', '1'), source('corp', '1')],
  clients: [client('shop', ['*'])],
  compat: { tokenboy: null, wechatTokenServer: { secret: new Secret('one') } },
  sinks: [],
}

describe('what a reload changes', () => {
  it('is nothing for the same content read again', () => {
    expect(isEmptyChange(configChange(config, { ...config, sources: [...config.sources] }))).toBe(true)
  })

  it('names sources that came, went and are another generation', () => {
    const change = configChange(config, { ...config, sources: [source('weixin', '2'), source('oauth', '1')] })
    expect(change).toMatchObject({
      added: ['oauth'],
      removed: ['corp'],
      changed: ['weixin'],
      clients: { added: [], removed: [], changed: [] },
      compat: false,
    })
  })

  it('tells clients that came from those that went and those that may do other things, never with a key', () => {
    const before = { ...config, clients: [client('shop', ['*']), client('old', [])] }
    const change = configChange(before, { ...config, clients: [client('shop', ['weixin']), client('crm', [])] })
    expect(change.clients).toEqual({ added: ['crm'], removed: ['old'], changed: ['shop'] })
    expect(isEmptyChange(change)).toBe(false)
    expect(JSON.stringify(change)).not.toContain(keyHash)
  })

  it('sees another secret of a compatible surface, and does not tell it', () => {
    const change = configChange(config, {
      ...config,
      compat: { ...config.compat, wechatTokenServer: { secret: new Secret('two') } },
    })
    expect(change.compat).toBe(true)
    expect(JSON.stringify(change)).not.toContain('two')
  })

  it('names what waits for the next start', () => {
    const change = configChange(config, {
      ...config,
      store: 'sqlite:/x.db',
      encryptionKey: new Uint8Array(32),
      server: { ...config.server, listen: '127.0.0.1:9' },
    })
    expect(change.needsRestart).toEqual(['server.listen', 'store', 'encryption_key'])
    expect(isEmptyChange(change)).toBe(false)
  })
})

describe('what is in force', () => {
  it('is the latest, but for every key that needs a restart', () => {
    const latest: Config = {
      ...config,
      server: { listen: '127.0.0.1:9', tls: { cert: 'a', key: 'b' }, trustedNetwork: true, workers: 2 },
      encryptionKey: new Uint8Array(32),
      store: 'sqlite:/x.db',
      sources: [source('weixin', '2')],
      clients: [],
      compat: { tokenboy: null, wechatTokenServer: null },
      sinks: [{ kind: 'file', sources: ['*'], path: '/x', format: 'json', mode: 0o600 }],
    }
    const now = inForce(config, latest)
    expect(configChange(config, now).needsRestart).toEqual([])
    expect(configChange(latest, now)).toMatchObject({ added: [], removed: [], changed: [], compat: false })
    expect(now.clients).toEqual(latest.clients)
  })
})
