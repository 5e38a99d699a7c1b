/** What cannot be asked for again survives: crashes at every step, late answers, stores that fail, people who authorise anew. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AuthorisationServer, invalidGrant, missing, rotating } from '../../test/keeper/authorisation-server.ts'
import { hour, Ledge, noAnswer, Stage, typesOf, type Node } from '../../test/keeper/stage.ts'
import { day, minute, second } from '../../test/model/samples.ts'
import type { Issued } from '../model/failure.ts'
import type { Source } from '../model/source.ts'

let stage: Stage

beforeEach(() => {
  stage = new Stage()
})

afterEach(async () => {
  await stage.close()
  expect(stage.faults).toEqual([])
})

function serve(server: AuthorisationServer): AuthorisationServer {
  stage.upstream.does('oauth', server.answer)
  return server
}

/** What a person's authorisation brings. */
function broughtBy(value: string): Issued {
  return { value: `token-${value}`, lifetimeMs: hour, fields: {}, grant: { value, lifetimeMs: null } }
}

/** The state of a source, as people see it. */
async function stateOf(node: Node, name = 'oauth'): Promise<string | undefined> {
  return (await stage.until(node.keeper.state(name)))?.state
}

/** The server answers from now on when it is told to. */
function answeringLate(server: AuthorisationServer): () => void {
  let tell = (): void => undefined
  stage.upstream.does('oauth', async (asked, call) => {
    const answer = server.answer(asked, call)
    await new Promise<void>((resolve) => {
      tell = resolve
    })
    return answer
  })
  return () => tell()
}

describe('a refresh token that rotates', () => {
  test('is taken from the configuration once, and from the store ever after', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    await stage.pass(day)
    expect(server.issues).toBeGreaterThan(20)
    expect(server.refusals).toBe(0)
    expect(await stage.token(node.keeper, 'oauth')).toBe(`oauth-${server.issues}`)
    stage.kill(node)
    await stage.opened(rotating(0))
    await stage.pass(day)
    expect(server.refusals).toBe(0)
  })

  test('is written in the same write as the token that came with it, and the one before is kept for a day', async () => {
    const server = serve(new AuthorisationServer(0))
    await stage.opened(rotating(0))
    const { token, grants } = await stage.entry('oauth')
    expect(token?.value).toBe('oauth-1')
    expect(grants).toMatchObject([
      { value: 'refresh-1', seed: 'digest of refresh-0' },
      { value: 'refresh-0', replacedAt: expect.any(Number) as number },
    ])
    await stage.pass(2 * day)
    expect((await stage.entry('oauth')).grants!.length).toBeLessThanOrEqual(4)
    expect((await stage.entry('oauth')).grants![0]!.value).toBe(server.current)
  })

  test('of another configuration is used at once; when it is refused, the one of before is', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    expect(server.current).toBe('refresh-1')
    await stage.until(node.keeper.replaceSources([rotating(0, { seed: 'pasted-wrongly', generation: 'g2' })]))
    expect(await stage.code(node.keeper.refresh('oauth'))).toBe('token_unavailable')
    await stage.pass(5 * second)
    await stage.until(node.keeper.refresh('oauth'))
    expect(server.refusals).toBe(1)
    expect(await stateOf(node)).toBe('fresh')
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-2')
    server.authorise('pasted')
    await stage.until(node.keeper.replaceSources([rotating(0, { seed: 'pasted', generation: 'g3' })]))
    await stage.until(node.keeper.refresh('oauth'))
    expect(server.refusals).toBe(1)
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-3')
  })

  test('of an account that the configuration left by mistake is there when it comes back', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    await stage.pass(hour)
    const current = server.current
    const mistaken = rotating(0, { identity: 'oauth:shp', generation: 'g2' })
    await stage.until(node.keeper.replaceSources([mistaken]))
    // The upstream knows nothing of such an account, and refuses the grant that was written for the other.
    stage.upstream.does('oauth', () => invalidGrant)
    await stage.pass(3 * hour)
    expect(await stateOf(node)).toBe('needs-authorization')
    serve(server)
    await stage.until(node.keeper.replaceSources([rotating(0, { generation: 'g3' })]))
    await stage.pass(2 * second)
    expect(server.current).not.toBe(current)
    expect(server.refusals).toBe(0)
    expect(await stateOf(node)).toBe('fresh')
  })

  test('that is dead is told of while the token lives, and tried again less and less often', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    server.authorise('another')
    await stage.pass(42 * minute)
    expect(await stateOf(node)).toBe('needs-authorization')
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-1')
    // The one before is tried as well, before a person is asked.
    expect(server.refusals).toBeGreaterThan(1)
    const failing = node.events.flatMap((event) => (event.type === 'failing' ? [event.class] : []))
    expect(failing).toEqual(['transient', 'needs-authorization'])
    await stage.pass(day)
    expect(server.refusals).toBeLessThan(40)
  })
})

/** How the process ended: its successor on the same machine knows that it is gone, one elsewhere waits for its lease. */
const ends = [
  { successor: 'on the same machine', isMissed: true, retryMs: 2 * second },
  { successor: 'elsewhere', isMissed: false, retryMs: 17 * second },
] as const

describe.each(ends)(
  'a node that dies at any step of a refresh, with a successor $successor',
  ({ isMissed, retryMs }) => {
    test.each([0, 5, 10, 30, 60])(
      'loses no grant that has a grace of %d s, if that is enough',
      async (graceSeconds) => {
        const graceMs = graceSeconds * second
        const source: Source = rotating(graceMs)
        let deaths = 0
        let losses = 0
        for (let calls = 0; calls <= 14; calls += 1) {
          stage = new Stage()
          const server = serve(new AuthorisationServer(graceMs))
          const first = await stage.opened(source)
          first.wire.callsLeft = calls
          const asked = stage.upstream.count('oauth')
          void first.keeper.refresh('oauth').catch(() => undefined)
          await stage.pass(150)
          const wasAsked = stage.upstream.count('oauth') > asked
          stage.kill(first)
          if (isMissed) stage.missed(first)
          await stage.pass(500)
          const second_ = await stage.open(source)
          const diedAt = stage.clock.now()
          await stage.pass(retryMs - 500)
          const { epoch, resolvedEpoch, grants } = await stage.entry('oauth')
          const isLost = grants![0]!.value !== server.current
          deaths += wasAsked ? 1 : 0
          if (isLost) {
            losses += 1
            // It is never silent, once the one before was tried too.
            await stage.pass(3 * second)
            expect(await stateOf(second_)).toBe('needs-authorization')
            expect(graceMs).toBeLessThan(retryMs)
          } else {
            expect(resolvedEpoch).toBe(epoch)
            await stage.pass(5 * hour)
            expect(server.refusals).toBe(0)
            expect(await stage.token(second_.keeper, 'oauth')).toBe(`oauth-${server.issues}`)
          }
          expect(stage.clock.now()).toBeGreaterThan(diedAt)
          await stage.close()
          expect(stage.faults).toEqual([])
        }
        expect(deaths).toBeGreaterThan(1)
        expect(losses > 0).toBe(graceMs < (isMissed ? second : 15 * second))
      },
    )
  },
)

describe('an answer with a grant', () => {
  test('that never came is asked for again within its grace, and again', async () => {
    const server = serve(new AuthorisationServer(10 * second))
    const node = await stage.opened(rotating(10 * second))
    let lost = 2
    stage.upstream.does('oauth', (asked, call) => {
      const answer = server.answer(asked, call)
      lost -= 1
      return lost >= 0 ? noAnswer : answer
    })
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(8 * second)
    expect(server.refusals).toBe(0)
    expect((await stage.entry('oauth')).grants![0]!.value).toBe(server.current)
    expect(await stateOf(node)).toBe('fresh')
  })

  test('that came when the lease was lost is kept, and used when the one in use is refused', async () => {
    const server = serve(new AuthorisationServer(0))
    const slow = await stage.opened(rotating(0))
    stage.upstream.does('oauth', async (asked, call) => {
      const answer = server.answer(asked, call)
      // It answers after the lease is over, and its node does not notice that time has passed.
      await stage.clock.time.wait(7 * second)
      return answer
    })
    void slow.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(second)
    // Another node takes the lease, as if ours had ended, and is refused: the grant is used up.
    stage.upstream.recovers('oauth')
    serve(server)
    await stage.alter('oauth', (entry) => ({ ...entry, lease: { ...entry.lease!, until: 0, at: 0 }, nextTry: 0 }))
    const other = await stage.open(rotating(0))
    await stage.pass(4 * second)
    expect(server.refusals).toBeGreaterThan(0)
    expect(await stateOf(other)).toBe('needs-authorization')
    await stage.pass(8 * second)
    expect((await stage.entry('oauth')).grants!.map(({ value }) => value)).toContain('refresh-2')
    expect(await stateOf(other)).toBe('fresh')
    expect(server.issues).toBe(3)
  })

  test('that the store could not take is written when it can, and not used before', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    stage.upstream.does('oauth', (asked, call) => {
      node.wire.isReadOnly = true
      return server.answer(asked, call)
    })
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(minute)
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-2')
    expect(server.issues).toBe(2)
    node.wire.isReadOnly = false
    serve(server)
    await stage.pass(10 * second)
    expect((await stage.entry('oauth')).grants![0]!.value).toBe('refresh-2')
    await stage.pass(day)
    expect(server.refusals).toBe(0)
  })
})

describe('a grant that the store cannot take, when the process ends', () => {
  /** A node whose store stops taking writes when the upstream has answered, and which is killed then. */
  async function dieWithGrant(): Promise<AuthorisationServer> {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    stage.upstream.does('oauth', (asked, call) => {
      node.wire.isReadOnly = true
      return server.answer(asked, call)
    })
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(5 * second)
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-2')
    stage.kill(node)
    stage.missed(node)
    serve(server)
    return server
  }

  test('is taken from beside the store by the next, before that asks', async () => {
    stage.spill = new Ledge()
    const server = await dieWithGrant()
    expect([...stage.spill.kept.values()]).toMatchObject([{ value: 'refresh-2', asked: 'refresh-1' }])
    const next = await stage.open(rotating(0))
    await stage.pass(2 * second)
    expect(server.refusals).toBe(0)
    expect(stage.spill.kept.size).toBe(0)
    expect(await stage.token(next.keeper, 'oauth')).toBe('oauth-3')
  })

  test('is put back later when the store still takes no writes, and by two who find it at once', async () => {
    stage.spill = new Ledge()
    const server = await dieWithGrant()
    const [one, two] = [await stage.open(rotating(0)), await stage.open(rotating(0))]
    await stage.pass(day)
    expect(server.refusals).toBe(0)
    expect(stage.spill.kept.size).toBe(0)
    for (const { keeper } of [one, two]) expect(await stage.token(keeper, 'oauth')).toBe(`oauth-${server.issues}`)
  })

  test('stays there until the store has it, also when the lease was lost meanwhile', async () => {
    stage.spill = new Ledge()
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    stage.upstream.does('oauth', (asked, call) => {
      node.wire.isReadOnly = true
      return server.answer(asked, call)
    })
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(5 * second)
    await stage.alter('oauth', ({ epoch, ...entry }) => {
      const lease = { node: 'another', at: stage.clock.now(), until: stage.clock.now() + hour, forced: false }
      return { ...entry, epoch: epoch + 1, lease }
    })
    await stage.pass(10 * second)
    expect([...stage.spill.kept.values()].map(({ value }) => value)).toEqual(['refresh-2'])
    node.wire.isReadOnly = false
    await stage.pass(10 * second)
    expect((await stage.entry('oauth')).grants!.map(({ value }) => value)).toContain('refresh-2')
    expect(stage.spill.kept.size).toBe(0)
  })

  test('and that a person brought is in use when it is put back, though the one before is good', async () => {
    stage.spill = new Ledge()
    serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    await stage.pass(minute)
    node.wire.isReadOnly = true
    const authorize = node.keeper.authorize('oauth', { issued: broughtBy('by-hand'), sentAgoMs: 0 })
    expect(await stage.code(authorize)).toBe('store_full')
    stage.kill(node)
    stage.missed(node)
    const next = await stage.open(rotating(0))
    await stage.pass(2 * second)
    expect((await stage.entry('oauth')).grants![0]!.value).toBe('by-hand')
    expect((await stage.until(next.keeper.state('oauth')))?.authorizedAt).toBeGreaterThan(0)
  })

  test('stays where it is for a source that is another account now', async () => {
    stage.spill = new Ledge()
    await dieWithGrant()
    await stage.open(rotating(0, { identity: 'oauth:another', seed: 'refresh-other' }))
    await stage.pass(minute)
    expect(stage.spill.kept.size).toBe(1)
    expect((await stage.entry('oauth')).grants!.map(({ value }) => value)).not.toContain('refresh-2')
  })

  test('is lost without such a place, and that was told', async () => {
    const server = await dieWithGrant()
    const next = await stage.open(rotating(0))
    await stage.pass(10 * second)
    expect(server.refusals).toBeGreaterThan(0)
    expect(await stateOf(next)).toBe('needs-authorization')
  })

  test('is told of when that place fails as well', async () => {
    stage.spill = new Ledge()
    stage.spill.isBroken = true
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    stage.upstream.does('oauth', (asked, call) => {
      node.wire.isReadOnly = true
      return server.answer(asked, call)
    })
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(5 * second)
    expect(typesOf(node.events)).toContain('grant-at-risk')
  })
})

describe('an authorisation that the platform withdraws', () => {
  test('has ended on every node, and nobody brings its token back', async () => {
    serve(new AuthorisationServer(0))
    const [one, two] = [await stage.opened(rotating(0)), await stage.opened(rotating(0))]
    for (const { keeper } of [one, two]) expect(await stage.token(keeper, 'oauth')).toBe('oauth-1')
    await stage.until(one.keeper.revoke('oauth', stage.clock.now()))
    await stage.pass(5 * second)
    for (const { keeper } of [one, two]) expect(await stage.code(keeper.get('oauth'))).toBe('token_unavailable')
    expect((await stage.entry('oauth')).token).toBeNull()
  })

  test('is not revived by an answer that was in the air', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    const answerLate = answeringLate(server)
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(second)
    await stage.until(node.keeper.revoke('oauth', stage.clock.now()))
    answerLate()
    await stage.pass(second)
    expect(await stateOf(node)).toBe('needs-authorization')
    expect(await stage.entry('oauth')).toMatchObject({ token: null, lease: null })
  })

  test('is not revived by a code that was exchanged before', async () => {
    serve(new AuthorisationServer(0))
    const node = await stage.opened(rotating(0))
    await stage.pass(minute)
    await stage.until(node.keeper.revoke('oauth', stage.clock.now()))
    await stage.until(node.keeper.authorize('oauth', { issued: broughtBy('early'), sentAgoMs: 30 * second }))
    expect(await stateOf(node)).toBe('needs-authorization')
    expect(typesOf(node.events)).not.toContain('authorized')
  })

  test('and given anew counts, though the withdrawal was heard of later than it was given', async () => {
    const semantics = { grant: { rotates: 'never', graceMs: 0, missing } } as const
    const node = await stage.opened(rotating(0, { seed: 'corp', semantics }))
    const withdrawnAt = stage.clock.now()
    await stage.pass(10 * minute)
    await stage.until(node.keeper.revoke('oauth', withdrawnAt))
    const anew = { value: 'corp', at: withdrawnAt + 5 * minute }
    expect(await stage.until(node.keeper.deliver('oauth', anew))).toBe(true)
    await stage.pass(second)
    expect(await stateOf(node)).toBe('fresh')
    expect(await stage.until(node.keeper.deliver('oauth', { value: 'corp', at: withdrawnAt - minute }))).toBe(false)
  })
})

describe('a grant from outside', () => {
  const pushed = rotating(0, { name: 'oauth', semantics: { grant: { rotates: 'never', graceMs: 0, missing } } })
  const ticketed = { ...pushed, seed: null }

  test('is waited for without a call, and wakes its source when it comes', async () => {
    const node = await stage.opened(ticketed)
    await stage.pass(3 * hour)
    expect(stage.upstream.count('oauth')).toBe(0)
    expect(await stateOf(node)).toBe('needs-authorization')
    expect(await stage.code(node.keeper.get('oauth'))).toBe('token_unavailable')
    expect(await stage.until(node.keeper.deliver('oauth', { value: 'ticket-1', at: stage.clock.now() }))).toBe(true)
    await stage.pass(second)
    expect(await stage.token(node.keeper, 'oauth')).toBe('oauth-1')
  })

  test('is never replaced by an older one, and the same one again changes nothing', async () => {
    const node = await stage.opened(ticketed)
    const now = stage.clock.now()
    const deliver = (value: string, at: number): Promise<boolean> =>
      stage.until(node.keeper.deliver('oauth', { value, at, lifetimeMs: 12 * hour }))
    expect(await deliver('ticket-2', now)).toBe(true)
    expect(await deliver('ticket-1', now - 10 * minute)).toBe(false)
    await deliver('ticket-2', now)
    const { grants } = await stage.entry('oauth')
    expect(grants).toEqual([{ value: 'ticket-2', at: now, endsAt: now + 12 * hour, identity: 'oauth:shop' }])
    expect(await deliver('ticket-3', now + minute)).toBe(true)
    expect((await stage.entry('oauth')).grants!.map(({ value }) => value)).toEqual(['ticket-3', 'ticket-2'])
  })

  test('that was given before all were withdrawn changes nothing, whenever it comes', async () => {
    const node = await stage.opened(ticketed)
    const startedAt = stage.clock.now()
    await stage.until(node.keeper.deliver('oauth', { value: 'ticket-1', at: startedAt }))
    await stage.pass(10 * minute)
    await stage.until(node.keeper.revoke('oauth'))
    for (const value of ['ticket-1', 'ticket-2']) {
      expect(await stage.until(node.keeper.deliver('oauth', { value, at: startedAt + minute }))).toBe(false)
    }
    await stage.pass(hour)
    expect(await stateOf(node)).toBe('needs-authorization')
  })

  test('that has ended is not asked with', async () => {
    const node = await stage.opened(ticketed)
    await stage.until(node.keeper.deliver('oauth', { value: 't', at: stage.clock.now(), lifetimeMs: 3 * hour }))
    await stage.pass(10 * hour)
    const asked = stage.upstream.count('oauth')
    await stage.pass(10 * hour)
    expect(stage.upstream.count('oauth')).toBe(asked)
    expect(await stateOf(node)).toBe('needs-authorization')
  })

  test('is heard of by all nodes, and wakes those who were waiting there', async () => {
    const one = await stage.opened(ticketed)
    const two = await stage.opened(ticketed)
    const reading = two.keeper.get('oauth', { waitMs: 5 * second }).catch(() => null)
    await stage.until(one.keeper.deliver('oauth', { value: 't', at: stage.clock.now() }))
    await stage.pass(2 * second)
    expect((await stage.until(reading))?.snapshot.token ?? (await stage.token(two.keeper, 'oauth'))).toBe('oauth-1')
    expect(stage.upstream.count('oauth')).toBe(1)
  })
})

describe('a person who authorises', () => {
  const source = rotating(0)

  test('brings a token and a grant in one write, though an attempt is in the air that brings others', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    const answerLate = answeringLate(server)
    void node.keeper.refresh('oauth').catch(() => undefined)
    await stage.pass(second)
    server.authorise('by-hand')
    const issued = {
      value: 'token-by-hand',
      lifetimeMs: hour,
      fields: {},
      grant: { value: 'by-hand', lifetimeMs: null },
    }
    await stage.until(node.keeper.authorize('oauth', { issued, sentAgoMs: 0 }))
    expect(await stage.token(node.keeper, 'oauth')).toBe('token-by-hand')
    serve(server)
    answerLate()
    await stage.pass(second)
    expect(await stage.token(node.keeper, 'oauth')).toBe('token-by-hand')
    expect((await stage.entry('oauth')).grants![0]!.value).toBe('by-hand')
    await stage.pass(day)
    expect(server.refusals).toBe(0)
    expect(await stateOf(node)).toBe('fresh')
  })

  test('is remembered as the one who did, through refreshes and another node', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    const since = async (at: Node): Promise<number | null | undefined> =>
      (await stage.until(at.keeper.state('oauth')))?.authorizedAt
    expect(await since(node)).toBeNull()
    server.authorise('by-hand')
    const grant = { value: 'by-hand', lifetimeMs: null }
    const issued = { value: 'token-by-hand', lifetimeMs: hour, fields: {}, grant }
    await stage.until(node.keeper.authorize('oauth', { issued, sentAgoMs: 0 }))
    const first = await since(node)
    expect(first).toBeGreaterThan(0)
    await stage.pass(day)
    expect(server.issues).toBeGreaterThan(20)
    expect(await since(await stage.open(source))).toBe(first)
    await stage.until(node.keeper.authorize('oauth', { issued, sentAgoMs: 0 }))
    expect(await since(node)).toBeGreaterThan(first!)
  })

  test('after another one did is not the last to, however late the answer to the first comes', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    await stage.pass(minute)
    server.authorise('later')
    await stage.until(node.keeper.authorize('oauth', { issued: broughtBy('later'), sentAgoMs: 0 }))
    await stage.until(node.keeper.authorize('oauth', { issued: broughtBy('early'), sentAgoMs: 30 * second }))
    const { grants, token } = await stage.entry('oauth')
    expect([grants![0]!.value, token!.value]).toEqual(['later', 'token-later'])
  })

  test('brings a grant that is newer than what refreshes of the one before brought meanwhile', async () => {
    serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    await stage.pass(minute)
    await stage.until(node.keeper.refresh('oauth'))
    await stage.pass(second)
    await stage.until(node.keeper.authorize('oauth', { issued: broughtBy('by-hand'), sentAgoMs: 10 * second }))
    const { grants, token, dueAt } = await stage.entry('oauth')
    expect(grants![0]!.value).toBe('by-hand')
    // The upstream may have retired the one that came with it; the next one is asked for with the new grant at once.
    expect(token!.value).toBe('oauth-2')
    expect(dueAt).toBeLessThanOrEqual(stage.clock.now())
  })

  test('while the store fails for a moment waits for it, and what was brought is one version', async () => {
    serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    const { version } = await stage.entry('oauth')
    node.wire.isReadOnly = true
    const grant = { value: 'by-hand', lifetimeMs: null }
    const issued = { value: 'token-by-hand', lifetimeMs: hour, fields: {}, grant }
    const authorize = node.keeper.authorize('oauth', { issued, sentAgoMs: 0 })
    await stage.pass(3 * second)
    node.wire.isReadOnly = false
    await stage.until(authorize, 6 * second)
    await stage.pass(minute)
    expect(await stage.entry('oauth')).toMatchObject({ version: version + 1, token: { value: 'token-by-hand' } })
    expect(typesOf(node.events).filter((type) => type === 'authorized')).toHaveLength(1)
  })

  test.each([undefined, { provider: 'sample', account: 'one', grant: true }])(
    'while the store fails for long is not asked again: what was brought is kept when the store is back (%j)',
    async (definition) => {
      serve(new AuthorisationServer(0))
      const node = await stage.opened(source)
      const name = definition === undefined ? 'oauth' : 'platform/shop'
      node.wire.isReadOnly = true
      const grant = { value: 'by-hand', lifetimeMs: null }
      const issued = { value: 'token-by-hand', lifetimeMs: hour, fields: {}, grant }
      const authorize = node.keeper.authorize(name, { issued, sentAgoMs: 0 }, definition)
      expect(await stage.code(authorize)).toBe('store_full')
      await stage.pass(5 * minute)
      node.wire.isReadOnly = false
      await stage.pass(6 * second)
      const { grants, token } = await stage.entry(name)
      expect([grants![0]!.value, token!.value]).toEqual(['by-hand', 'token-by-hand'])
      // Its life counts from when it was asked for.
      expect(stage.clock.now() - token!.issuedAt).toBeGreaterThan(5 * minute)
      expect(await stage.token(node.keeper, name)).toBe('token-by-hand')
    },
  )

  test.each([undefined, { provider: 'sample', account: 'one', grant: true }])(
    'while the store fails, on a node that dies then, is not asked again: the next node puts it where it belongs (%j)',
    async (definition) => {
      stage.spill = new Ledge()
      const server = serve(new AuthorisationServer(0))
      const node = await stage.opened(source)
      const name = definition === undefined ? 'oauth' : 'platform/shop'
      // The grant before is dead: a person authorises because it is.
      server.authorise('by-hand')
      await stage.pass(3 * hour)
      node.wire.isReadOnly = true
      const grant = { value: 'by-hand', lifetimeMs: null }
      const issued = { value: 'token-by-hand', lifetimeMs: hour, fields: {}, grant }
      const authorize = node.keeper.authorize(name, { issued, sentAgoMs: 0 }, definition)
      expect(await stage.code(authorize)).toBe('store_full')
      stage.kill(node)
      stage.missed(node)
      const next = await stage.open(source)
      await stage.pass(2 * second)
      expect((await stage.entry(name)).grants?.map(({ value }) => value)).toContain('by-hand')
      expect(stage.spill.kept.size).toBe(0)
      if (definition === undefined) expect(await stateOf(next)).toBe('fresh')
      else expect(await stage.token(next.keeper, name)).toMatch(/^platform\/shop-/)
    },
  )

  test('made a source whose definition is refused by now: that is told, once, and what was brought stays', async () => {
    const left = new Ledge()
    stage.spill = left
    const grant = { value: 'by-hand', lifetimeMs: null, sentAt: 0, asked: null, since: 0, identity: 'gone' }
    await left.save('platform/shop', { ...grant, definition: { provider: 'gone' } })
    await stage.open(source)
    await stage.pass(minute)
    expect(stage.faults.splice(0)).toMatchObject([{ code: 'bad_request' }])
    expect([...left.kept.keys()]).toEqual(['platform/shop'])
  })

  test('ends the waiting of a source whose grant was dead', async () => {
    const server = serve(new AuthorisationServer(0))
    const node = await stage.opened(source)
    server.authorise('another')
    await stage.pass(3 * hour)
    expect(await stateOf(node)).toBe('needs-authorization')
    server.authorise('by-hand')
    const grant = { value: 'by-hand', lifetimeMs: null }
    const issued = { value: 'token-by-hand', lifetimeMs: hour, fields: {}, grant }
    await stage.until(node.keeper.authorize('oauth', { issued, sentAgoMs: 0 }))
    expect(await stateOf(node)).toBe('fresh')
    await stage.pass(5 * hour)
    expect(await stateOf(node)).toBe('fresh')
  })

  test('may make a source, and the platform may end it; then nobody asks until it is authorised anew', async () => {
    const node = await stage.opened()
    const issued = { value: 'shop-0', lifetimeMs: hour, fields: {}, grant: { value: 'rt', lifetimeMs: null } }
    const definition = { provider: 'sample', account: 'one', grant: true }
    const authorize = async (): Promise<void> => {
      await stage.until(node.keeper.authorize('platform/shop', { issued, sentAgoMs: 0 }, definition))
    }
    await authorize()
    expect(await stage.token(node.keeper, 'platform/shop')).toBe('shop-0')
    await stage.pass(hour)
    expect(await stage.token(node.keeper, 'platform/shop')).toMatch(/^platform\/shop-/)
    await stage.until(node.keeper.revoke('platform/shop'))
    expect(await stateOf(node, 'platform/shop')).toBe('needs-authorization')
    expect(await stage.code(node.keeper.get('platform/shop'))).toBe('token_unavailable')
    const asked = stage.upstream.count('platform/shop')
    await stage.pass(10 * day)
    expect(stage.upstream.count('platform/shop')).toBe(asked)
    await authorize()
    expect(await stage.token(node.keeper, 'platform/shop')).toBe('shop-0')
    await stage.pass(hour)
    expect(stage.upstream.count('platform/shop')).toBeGreaterThan(asked)
  })
})
