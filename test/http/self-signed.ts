/**
 * Certificates made on the spot: node:crypto signs but makes none, and a key in the repository would be a key that
 * everybody has. X.509 (RFC 5280) is DER: a tag, a length, and what is inside.
 */
import { createHash, generateKeyPairSync, sign, X509Certificate, type KeyObject } from 'node:crypto'

export type SelfSigned = {
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** As `getPeerCertificate().fingerprint256` tells it. */
  readonly fingerprint: string
}

const oid = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  rsaWithSha256: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
  commonName: [0x55, 0x04, 0x03],
  subjectAltName: [0x55, 0x1d, 0x11],
} as const

export type Pair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject }

/** A certificate for `localhost`, by default with a new key of its own, valid from 2020 to 2120. */
export function selfSigned(pair: Pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })): SelfSigned {
  const { privateKey, publicKey } = pair
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const isRsa = privateKey.asymmetricKeyType === 'rsa'
  const algorithm = isRsa
    ? sequence(der(0x06, oid.rsaWithSha256), Buffer.of(0x05, 0))
    : sequence(der(0x06, oid.ecdsaWithSha256))
  const name = sequence(der(0x31, sequence(der(0x06, oid.commonName), der(0x0c, 'localhost'))))
  const validity = sequence(der(0x17, '200101000000Z'), der(0x18, '21200101000000Z'))
  const names = sequence(der(0x82, 'localhost'))
  const extensions = der(0xa3, sequence(sequence(der(0x06, oid.subjectAltName), der(0x04, names))))
  const version = der(0xa0, der(0x02, [2]))
  const serial = der(0x02, [1, ...createHash('sha256').update(spki).digest().subarray(0, 8)])
  const body = sequence(version, serial, algorithm, name, validity, name, spki, extensions)
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign('sha256', body, privateKey)]))
  const cert = pem('CERTIFICATE', sequence(body, algorithm, signature))
  return {
    cert,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    fingerprint: new X509Certificate(cert).fingerprint256,
  }
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function der(tag: number, content: Buffer | string | readonly number[]): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'ascii') : Buffer.from(content)
  const { length } = bytes
  const long = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...long), bytes])
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
