import { createCipheriv } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ecPair, edPair, pkcs1, pkcs8, publicPem, rsaPair } from '../../test/providers/keys.ts'
import { readSigningKey, SigningKey } from './signing-key.ts'

const jwk = (): Record<string, unknown> => ({ ...rsaPair().privateKey.export({ format: 'jwk' }), kid: 'from-jwk' })

function read(text: string): SigningKey {
  const key = readSigningKey(text)
  if (!(key instanceof SigningKey)) throw new Error(key.en)
  return key
}

describe('a private key', () => {
  it.each<[string, () => string, string]>([
    ['PKCS#8', () => pkcs8(rsaPair()), 'RS256'],
    ['PKCS#1', () => pkcs1(rsaPair()), 'RS256'],
    ['SEC 1', () => ecPair().privateKey.export({ type: 'sec1', format: 'pem' }).toString(), 'ES256'],
    ['P-384', () => pkcs8(ecPair('P-384')), 'ES384'],
    ['P-521', () => pkcs8(ecPair('P-521')), 'ES512'],
    ['Ed25519', () => pkcs8(edPair()), 'EdDSA'],
    ['a JWK', () => JSON.stringify(jwk()), 'RS256'],
    ['one line of an .env file', () => pkcs8(rsaPair()).replaceAll('\n', '\\n'), 'RS256'],
    ['lines of Windows, with spaces around', () => `\n  ${pkcs8(rsaPair()).replaceAll('\n', '\r\n')}  `, 'RS256'],
  ])('is understood as %s', (_, text, algorithm) => {
    expect(read(text()).algorithms[0]).toBe(algorithm)
  })

  it('brings the id that its JWK has', () => {
    expect([read(JSON.stringify(jwk())).id, read(pkcs8(rsaPair())).id]).toEqual(['from-jwk', null])
  })

  it('is not printed', () => {
    const key = read(JSON.stringify(jwk()))
    expect(JSON.stringify({ key })).toBe('{"key":"[secret]"}')
  })

  it.each<[string, () => string, RegExp]>([
    ['too short an RSA key', () => pkcs8(rsaPair(1_024)), /1024 bits/],
    ['a public key', () => publicPem(rsaPair()), /public key/],
    ['a public JWK', () => JSON.stringify(rsaPair().publicKey.export({ format: 'jwk' })), /public key/],
    ['an encrypted key', encryptedPem, /passphrase/],
    [
      'a key of OpenSSH',
      () => '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----',
      /OpenSSH/,
    ],
    ['a curve of another world', () => pkcs8(ecPair('secp256k1')), /No algorithm/],
    ['a truncated key', () => pkcs8(rsaPair()).slice(0, 200), /cannot be read/],
    ['a JWK with a hole', () => JSON.stringify({ ...jwk(), p: undefined, n: 'AQ' }), /cannot be read|bits/],
    ['a password', () => 'canary-password', /no private key/],
    ['JSON that is none', () => '{canary', /no private key/],
  ])('is refused with a fix when it is %s', (_, text, expected) => {
    const wrong = readSigningKey(text())
    if (wrong instanceof SigningKey) throw new Error('it was taken')
    expect(wrong.en).toMatch(expected)
    expect(wrong.zh).toMatch(/[\u4e00-\u9fff]/)
    expect(wrong.fix?.en).toMatch(/\.$/)
    expect(wrong.fix?.zh).toMatch(/。$/)
    expect(JSON.stringify(wrong)).not.toContain('canary')
  })
})

function encryptedPem(): string {
  // What a passphrase encrypts is told by its label, whatever is inside.
  const cipher = createCipheriv('aes-256-cbc', Buffer.alloc(32), Buffer.alloc(16))
  const inside = Buffer.concat([cipher.update('x'), cipher.final()]).toString('base64')
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${inside}\n-----END ENCRYPTED PRIVATE KEY-----\n`
}
