/** What a node serves: views move forward only, and a snapshot is one object for as long as it says the same. */
import { beforeEach, describe, expect, test } from 'vitest'
import { VirtualClock } from '../../test/keeper/virtual-clock.ts'
import { hour, minute, sampleEntry, sampleSource, sampleToken, second, t0 } from '../../test/model/samples.ts'
import type { Entry } from '../model/entry.ts'
import { StoreTime } from './store-time.ts'
import { Views } from './views.ts'

const source = sampleSource()

let clock: VirtualClock
let views: Views

beforeEach(async () => {
  clock = new VirtualClock()
  const time = new StoreTime(clock, { now: async () => clock.time.now() })
  await time.look()
  views = new Views(time)
})

function version(number: number, changed: Partial<Entry> = {}): Entry {
  const value = `token-${number}`
  return sampleEntry({
    version: number,
    token: sampleToken({ value, version: number, fields: { access_token: value } }),
    ...changed,
  })
}

describe('a view', () => {
  test('follows newer versions and newer revisions, and never older ones', () => {
    expect(views.learn(source, version(2), 20).snapshot?.version).toBe(2)
    expect(views.learn(source, version(1), 21).snapshot?.version).toBe(2)
    expect(views.learn(source, version(2, { dueAt: t0 }), 19).entry.dueAt).toBe(version(2).dueAt)
    expect(views.learn(source, version(2, { dueAt: t0 + hour }), 21).entry.dueAt).toBe(t0 + hour)
    expect(views.learn(source, version(3), 5).snapshot?.token).toBe('token-3')
  })

  test('of a token that is still to be committed does not take another value for the same version', () => {
    const other = version(2, { token: sampleToken({ value: 'other', version: 2 }) })
    views.learn(source, version(2), 20)
    views.pin('weixin')
    expect(views.learn(source, other, 21).snapshot?.token).toBe('token-2')
    expect(views.learn(source, version(3), 22).snapshot?.token).toBe('token-3')
  })

  test('of a record that was written anew follows its new revisions', () => {
    views.learn(source, version(2), 20)
    views.rebase('weixin', 1)
    expect(views.learn(source, version(2, { dueAt: t0 + hour }), 2).entry.dueAt).toBe(t0 + hour)
  })

  test('never serves a token of another account, however old the entry is', () => {
    views.learn(source, version(2), 20)
    const moved = sampleSource({ identity: 'sample:wx2' })
    expect(views.learn(moved, version(1), 3).snapshot).toBeNull()
    expect(views.get('weixin')?.source).toBe(moved)
  })

  test('has one snapshot for as long as it says the same', () => {
    const first = views.learn(source, version(1), 1).snapshot
    expect(views.learn(source, version(1, { nextTry: 5 }), 2).snapshot).toBe(first)
    expect(views.learn(source, version(1, { dueAt: t0 + hour }), 3).snapshot).not.toBe(first)
  })

  test('tells the promise on the wall clock of this node, and what is left of it on the monotonic one', async () => {
    const { snapshot } = views.learn(source, version(1), 1)
    expect(snapshot?.expiresAt).toBe(t0 + 85 * minute)
    expect(views.leftMs(snapshot!)).toBe(85 * minute)
    clock.wallOffset = hour
    await clock.pass(minute)
    expect(views.leftMs(snapshot!)).toBe(84 * minute)
    expect(views.leftMs({ ...snapshot! })).toBe(0)
  })

  test('makes a promise anew that ran out before its token, for those who read', async () => {
    views.learn(source, version(1), 1)
    await clock.pass(90 * minute)
    const renewed = views.read('weixin')
    expect(renewed?.until).toBe(t0 + 92.5 * minute)
    expect(views.read('weixin')?.snapshot).toBe(renewed?.snapshot)
    await clock.pass(40 * minute)
    expect(views.read('weixin')!.until).toBeLessThanOrEqual(clock.now())
  })
})

describe('memory', () => {
  test('keeps what is read, and forgets within two rounds what is not', () => {
    for (const name of ['read', 'unread', 'pinned', 'awaited']) views.learn(sampleSource({ name }), version(1), 1)
    views.pin('pinned')
    const forget = views.onChange('awaited', () => undefined)
    for (let round = 0; round < 2; round += 1) {
      views.read('read')
      views.forgetIdle()
    }
    expect([...views.names()].toSorted()).toEqual(['awaited', 'pinned', 'read'])
    forget()
    views.unpin('pinned')
    views.forgetIdle()
    expect([...views.names()]).toEqual(['read'])
    views.forgetIdle()
    views.forgetIdle()
    expect(views.size).toBe(0)
  })
})

describe('whose token it is', () => {
  test('is known for the current token and those before it, until they end or the view is dropped', async () => {
    const previous = [
      { value: 'old', version: 1, until: t0 + minute },
      { value: 'ended', version: 0, until: t0 },
    ]
    views.learn(source, version(2, { previous }), 1)
    expect(views.ownerOf('token-2')?.source).toBe(source)
    expect(views.ownerOf('old')?.source).toBe(source)
    expect(views.ownerOf('ended')).toBeUndefined()
    views.learn(source, version(3), 2)
    expect(views.ownerOf('token-2')).toBeUndefined()
    views.forget('weixin')
    expect(views.ownerOf('token-3')).toBeUndefined()
    await clock.pass(0)
  })

  test('no longer knows a replaced token when that would have ended, though nothing was read or written since', async () => {
    views.learn(source, version(2, { previous: [{ value: 'old', version: 1, until: t0 + minute }] }), 1)
    await clock.pass(minute - second)
    expect(views.ownerOf('old')?.source).toBe(source)
    await clock.pass(2 * second)
    expect(views.ownerOf('old')).toBeUndefined()
    expect(views.ownerOf('token-2')?.source).toBe(source)
  })
})

describe('how long a token may be relied on', () => {
  const leftMs = (token: string): number => views.leftMsOf(token, views.get('weixin')!)
  const previous = [
    { value: 'one-before', version: 1, until: t0 + 90 * minute },
    { value: 'two-before', version: 0, until: t0 + 90 * minute },
  ]

  test('a replaced one has its grace where an issue retires it, those before it have nothing', () => {
    views.learn(source, version(2, { previous }), 1)
    expect(source.semantics.reissue).toBe('retires-previous')
    expect(leftMs('token-2')).toBeGreaterThan(minute)
    expect(leftMs('one-before')).toBe(views.get('weixin')!.entry.token!.issuedAt + 5 * minute - clock.now())
    expect(leftMs('two-before')).toBe(0)
    expect(leftMs('never-seen')).toBe(0)
  })

  test('replaced ones live out their lives elsewhere', () => {
    const gentle = sampleSource({ name: 'weixin', semantics: { ...source.semantics, reissue: 'independent' } })
    views.learn(gentle, version(2, { previous }), 1)
    expect(leftMs('one-before')).toBe(t0 + 90 * minute - clock.now())
    expect(leftMs('two-before')).toBe(t0 + 90 * minute - clock.now())
  })
})

describe('those who wait for a change', () => {
  test('are called once, when what is served has changed', () => {
    let calls = 0
    views.learn(source, version(1), 1)
    views.onChange('weixin', () => (calls += 1))
    views.learn(source, version(1, { nextTry: second }), 2)
    expect(calls).toBe(0)
    views.learn(source, version(2), 3)
    views.learn(source, version(3), 4)
    expect(calls).toBe(1)
  })

  test('are called when the source is gone, and not when they have given up', () => {
    const calls: string[] = []
    views.learn(source, version(1), 1)
    views.onChange('weixin', () => calls.push('stayed'))
    const cancel = views.onChange('weixin', () => calls.push('left'))
    cancel()
    cancel()
    views.forget('weixin')
    expect(calls).toEqual(['stayed'])
  })
})
