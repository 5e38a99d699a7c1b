import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../base/secret.ts'
import type { ClientGrant } from '../model/client.ts'
import { createAccess } from './access.ts'
import { compileGlobs } from '../model/glob.ts'

const grant = (name: string, key: string, more: Partial<ClientGrant> = {}): ClientGrant => ({
  name,
  keyHash: sha256(key).toString('hex'),
  read: [],
  refresh: [],
  gateway: [],
  admin: false,
  ...more,
})

describe('access', () => {
  const access = createAccess([
    grant('shop', 'shop-key', { read: ['weixin', 'weixin_*'], refresh: ['weixin'] }),
    grant('boss', 'boss-key', { admin: true }),
  ])

  test('a key is its client and nobody else', () => {
    expect(access.authenticate('Bearer shop-key')?.name).toBe('shop')
    expect(access.authenticate('bearer   boss-key ')?.name).toBe('boss')
    expect(access.identify('shop-key')?.name).toBe('shop')
  })

  test.each([
    null,
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer  shop-key x',
    'Bearershop-key',
    'Basic shop-key',
    'shop-key',
    'Bearer Shop-key',
    'Bearer shop-ke',
    'Bearer shop-keyy',
    `Bearer ${sha256('shop-key').toString('hex')}`,
    `Bearer ${'x'.repeat(100_000)}`,
  ])('%.40s is nobody', (authorization) => {
    expect(access.authenticate(authorization)).toBeNull()
  })

  test('the hash of the missing row is no way in', () => {
    expect(createAccess([]).identify('')).toBeNull()
    expect(createAccess([]).authenticate('Bearer x')).toBeNull()
  })

  test('a client may do what it was granted and nothing else; an admin everything', () => {
    const shop = access.identify('shop-key')!
    const may = (scope: Parameters<typeof shop.may>[0], names: string[]) => names.map((name) => shop.may(scope, name))
    expect(may('read', ['weixin', 'weixin_js', 'weixin_', 'weixi', 'weixinx', 'x'])).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ])
    expect(may('refresh', ['weixin', 'weixin_js'])).toEqual([true, false])
    expect([shop.may('gateway', 'weixin'), shop.may('admin', 'weixin'), shop.isAdmin]).toEqual([false, false, false])
    const boss = access.identify('boss-key')!
    expect([boss.may('gateway', 'anything'), boss.may('admin', 'x'), boss.isAdmin]).toEqual([true, true, true])
  })

  test('access is open only without clients', () => {
    expect([access.isOpen, createAccess([]).isOpen]).toEqual([false, true])
  })

  test('two clients with one key, and hashes that are none, are refused', () => {
    expect(() => createAccess([grant('a', 'key'), grant('b', 'key')])).toThrow('another client')
    expect(() => createAccess([{ ...grant('a', 'key'), keyHash: 'abc' }])).toThrow('no SHA-256')
  })
})

describe('globs', () => {
  test.each([
    [['*'], 'a/b', true],
    [[], 'a', false],
    [[''], 'a', false],
    [['a*c'], 'abc', true],
    [['a*c'], 'ac', true],
    [['a*c'], 'a/b/c', true],
    [['ab*ba'], 'aba', false],
    [['a*b*c'], 'acb', false],
    [['*x*'], 'axb', true],
    [['**'], '', true],
    [['a.c'], 'abc', false],
    [['[ab]'], 'a', false],
    [['a', 'b*'], 'bc', true],
  ] as const)('%j and %s: %s', (globs, name, matches) => {
    expect(compileGlobs(globs)(name)).toBe(matches)
  })

  test('agree with the plain definition of *', () => {
    const unit = fc.constantFrom('a', 'b', '/')
    const matches = (glob: string, name: string): boolean => {
      if (glob === '') return name === ''
      if (glob.startsWith('*')) return matches(glob.slice(1), name) || (name !== '' && matches(glob, name.slice(1)))
      return name !== '' && name.startsWith(glob.charAt(0)) && matches(glob.slice(1), name.slice(1))
    }
    fc.assert(
      fc.property(
        fc.string({ unit: fc.oneof(unit, fc.constant('*')), maxLength: 8 }),
        fc.string({ unit, maxLength: 8 }),
        (glob, name) => {
          expect(compileGlobs([glob])(name)).toBe(matches(glob, name))
        },
      ),
      { numRuns: 2_000 },
    )
  })
})
