/** Keys for tests: made once in a process, because making RSA keys is slow. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'

type Pair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject }

const made = new Map<string, Pair>()

function pair(name: string, make: () => Pair): Pair {
  const known = made.get(name) ?? make()
  made.set(name, known)
  return known
}

export const rsaPair = (bits = 2_048): Pair =>
  pair(`rsa ${bits}`, () => generateKeyPairSync('rsa', { modulusLength: bits }))
export const otherRsaPair = (): Pair => pair('another', () => generateKeyPairSync('rsa', { modulusLength: 2_048 }))
export const ecPair = (namedCurve = 'P-256'): Pair => pair(namedCurve, () => generateKeyPairSync('ec', { namedCurve }))
export const edPair = (): Pair => pair('ed25519', () => generateKeyPairSync('ed25519'))

export function pkcs8({ privateKey }: Pair): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
export function pkcs1({ privateKey }: Pair): string {
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
}
export function publicPem({ publicKey }: Pair): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}
