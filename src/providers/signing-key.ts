/**
 * A private key that assertions are signed with, as people write it: PEM (PKCS#8, PKCS#1, SEC 1) or JWK. It is read and
 * judged when the configuration is, so that a wrong key is a line of the configuration and not a failure at night.
 */
import { createPrivateKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { parsedObject } from '../base/json.ts'
import { problem, type Problem } from './setting.ts'

/** Opaque when printed: what is in it is in private fields and in a `KeyObject`. */
export class SigningKey {
  readonly #key: KeyObject
  /** The algorithms that it can sign with, the usual one first. */
  readonly algorithms: readonly string[]
  /** The id that a JWK carries. */
  readonly id: string | null
  constructor(key: KeyObject, algorithms: readonly string[], id: string | null) {
    this.#key = key
    this.algorithms = algorithms
    this.id = id
  }
  reveal(): KeyObject {
    return this.#key
  }
  toJSON(): string {
    return '[secret]'
  }
}

export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const

type RsaAlgorithm = 'RS256' | 'PS256'

const rsaBitsMin = 2_048
const rsaAlgorithms = algorithms.slice(0, 6)
const curves: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/** A private key; with `algorithm`, one that signs with it, because its server takes no other. */
export function privateKey(description: string, algorithm?: RsaAlgorithm): z.ZodType<SigningKey, string> {
  return z
    .string()
    .min(1)
    .transform((text, context) => {
      const read = readSigningKey(text, algorithm)
      if (read instanceof SigningKey) return read
      problem(context, read)
      return z.NEVER
    })
    .describe(description)
}

/** The key, or what is wrong with the text; of the text itself nothing is told. */
export function readSigningKey(text: string, algorithm?: RsaAlgorithm): SigningKey | Problem {
  const read = readAny(text)
  const isUnfit = read instanceof SigningKey && algorithm !== undefined && !read.algorithms.includes(algorithm)
  return isUnfit ? notRsa : read
}

function readAny(text: string): SigningKey | Problem {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) return readJwk(trimmed)
  // An environment variable holds one line, so PEM is written with `\n` there.
  const pem = trimmed.replaceAll('\\n', '\n').replaceAll('\r', '')
  const label = /^-----BEGIN ([A-Z0-9 ]+)-----$/m.exec(pem)?.[1]
  if (label === undefined) return notAKey
  if (label.startsWith('ENCRYPTED') || pem.includes('Proc-Type: 4,ENCRYPTED')) return encrypted
  if (!label.endsWith('PRIVATE KEY')) return publicKey
  if (label.startsWith('OPENSSH')) return openSsh
  return judged(() => createPrivateKey({ key: pem, format: 'pem' }), null)
}

function readJwk(text: string): SigningKey | Problem {
  const jwk = parsedObject(text)
  if (jwk === null || typeof jwk.kty !== 'string') return notAKey
  if (typeof jwk.d !== 'string') return publicKey
  const input: JsonWebKeyInput = { key: jwk, format: 'jwk' }
  return judged(() => createPrivateKey(input), typeof jwk.kid === 'string' ? jwk.kid : null)
}

function judged(read: () => KeyObject, id: string | null): SigningKey | Problem {
  let key: KeyObject
  try {
    key = read()
  } catch {
    // What OpenSSL says of it helps nobody, and may quote it.
    return damaged
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa') {
    return modulusLength < rsaBitsMin ? tooShort(modulusLength) : new SigningKey(key, rsaAlgorithms, id)
  }
  const algorithm = key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : curves[namedCurve]
  return algorithm === undefined ? wrongKind : new SigningKey(key, [algorithm], id)
}

const howToWrite = {
  en: 'Write "file:PATH" of a PEM file (-----BEGIN PRIVATE KEY-----) or of a JWK in JSON.',
  zh: '请写 "file:路径"，指向 PEM 文件（-----BEGIN PRIVATE KEY-----）或 JSON 格式的 JWK。',
}
const notAKey: Problem = {
  en: 'This is no private key: neither PEM nor a JWK',
  zh: '这不是私钥：既不是 PEM，也不是 JWK',
  fix: howToWrite,
}
const publicKey: Problem = {
  en: 'This is a public key or a certificate; the private key is needed',
  zh: '这是公钥或证书，此处需要私钥',
  fix: howToWrite,
}
const encrypted: Problem = {
  en: 'This key is encrypted with a passphrase',
  zh: '该私钥带有口令加密',
  fix: {
    en: 'Take the passphrase off and keep the file at mode 600: openssl pkey -in KEY -out NEW.',
    zh: '请去除口令并将文件权限设为 600：openssl pkey -in 原文件 -out 新文件。',
  },
}
const openSsh: Problem = {
  en: 'This is a key in the format of OpenSSH',
  zh: '这是 OpenSSH 格式的私钥',
  fix: {
    en: 'Turn it into PEM: ssh-keygen -p -m PEM -f KEY.',
    zh: '请转换为 PEM：ssh-keygen -p -m PEM -f 文件。',
  },
}
const damaged: Problem = {
  en: 'This private key cannot be read; something of it is missing or changed',
  zh: '无法读取该私钥，内容不完整或已被改动',
  fix: {
    en: 'Download it again; in .env, write it in one line with \\n between its lines.',
    zh: '请重新下载；若写在 .env 中，请写成一行，行间用 \\n 分隔。',
  },
}
const wrongKind: Problem = {
  en: 'No algorithm of JWT signs with this kind of key',
  zh: '该类型的私钥不能用于 JWT 签名',
  fix: {
    en: 'Use RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519.',
    zh: '请使用 2048 位及以上的 RSA，或 P-256、P-384、P-521、Ed25519。',
  },
}
const notRsa: Problem = {
  en: 'This server takes RSA keys only',
  zh: '该服务器只接受 RSA 私钥',
  fix: { en: 'Use the RSA key that is registered there.', zh: '请使用在该处登记的 RSA 私钥。' },
}
const tooShort = (bits: number): Problem => ({
  en: `This RSA key has ${bits} bits; fewer than ${rsaBitsMin} can be broken and are refused`,
  zh: `该 RSA 私钥只有 ${bits} 位；少于 ${rsaBitsMin} 位可被破解，不予使用`,
  fix: {
    en: 'Make a new one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048.',
    zh: '请生成新的私钥：openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048。',
  },
})
