import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aesKey, encryptKey, sealFeishu } from '../../test/callbacks/platform.ts'
import { vectors } from '../../test/callbacks/vectors.ts'
import { seal, unseal, unsealFeishu } from './seal.ts'
import { isSigned, sortedSha1 } from './signature.ts'

describe('the official examples', () => {
  it.each(vectors.aes)('$name is opened, and sealed again to the same text', (vector) => {
    const { encodingAesKey: key, receiveId, encrypt, decrypted } = vector
    expect(unseal(encrypt, key)).toEqual({ text: decrypted.msg, receiveId })
    expect(seal(decrypted.msg, { key, receiveId, random: Buffer.from(decrypted.random16) })).toBe(encrypt)
  })

  it.each(vectors.aes.filter((each) => each.msg_signature !== undefined))('$name is signed', (vector) => {
    const values = [vector.token, vector.timestamp!, vector.nonce!, vector.encrypt]
    expect(sortedSha1(values)).toBe(vector.msg_signature)
    expect(isSigned(vector.msg_signature!.toUpperCase(), values.toReversed())).toBe(true)
    if (vector.signature !== undefined) expect(isSigned(vector.signature, values.slice(0, 3))).toBe(true)
  })

  it.each(vectors.sortedSha1)('$name is signed', ({ values, signature }) => {
    expect(sortedSha1(values)).toBe(signature)
    expect(isSigned(signature, [...values, 'x'])).toBe(false)
  })
})

describe('a sealed text', () => {
  const random = Buffer.from('0123456789abcdef')

  it('of any length and script comes back with the id it was sealed for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.string({ maxLength: 40 }), (text, receiveId) => {
        const sealed = seal(text, { key: aesKey, receiveId, random })
        expect(unseal(sealed, aesKey)).toEqual({ text, receiveId })
      }),
    )
  })

  it('is never opened to something else by another key, and never throws for what was changed', () => {
    const sealed = seal('a text of some length, over two blocks', { key: aesKey, receiveId: 'wx1', random })
    const other = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG'
    expect(unseal(sealed, other)).toBeNull()
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.base64String({ minLength: 4, maxLength: 4 }), (at, piece) => {
        const changed = sealed.slice(0, at) + piece + sealed.slice(at + 4)
        unseal(changed, aesKey)
        unsealFeishu(changed, encryptKey)
      }),
    )
  })

  it.each([
    ['nothing', ''],
    ['no base64', '!!!!'],
    ['half a block', Buffer.alloc(8).toString('base64')],
    ['one block, which holds no length', Buffer.alloc(16).toString('base64')],
    ['base64 that is cut', seal('x', { key: aesKey, receiveId: '', random }).slice(0, -1)],
    [
      'base64 of URLs',
      seal('???>>>', { key: aesKey, receiveId: '', random }).replaceAll('+', '-').replaceAll('/', '_') + '-_==',
    ],
  ])('is not: %s', (_, sealed) => {
    expect(unseal(sealed, aesKey)).toBeNull()
    expect(unsealFeishu(sealed, encryptKey)).toBeNull()
  })

  it('has 1 to 32 bytes of padding, each telling how many', () => {
    const padded = (tail: readonly number[]): string => {
      const key = Buffer.from(`${aesKey}=`, 'base64')
      const cipher = createCipheriv('aes-256-cbc', key, key.subarray(0, 16)).setAutoPadding(false)
      const bytes = Buffer.concat([
        Buffer.alloc(16, 7),
        Buffer.from([0, 0, 0, 0]),
        Buffer.alloc(44 - tail.length),
        Buffer.from(tail),
      ])
      return Buffer.concat([cipher.update(bytes), cipher.final()]).toString('base64')
    }
    const pad = (count: number) => Array<number>(count).fill(count)
    expect(unseal(padded(pad(1)), aesKey)).not.toBeNull()
    expect(unseal(padded(pad(32)), aesKey)).not.toBeNull()
    expect(unseal(padded(pad(33)), aesKey)).toBeNull()
    expect(unseal(padded([0]), aesKey)).toBeNull()
    expect(unseal(padded([2, 3, 3]), aesKey)).toBeNull()
  })

  it('of Feishu comes back, and from nobody else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
        expect(unsealFeishu(sealFeishu(text), encryptKey)).toBe(text)
      }),
    )
    expect(unsealFeishu(sealFeishu('{"a":"a text of some length"}'), 'another key')).toBeNull()
  })
})
