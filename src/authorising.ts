/**
 * How people and platforms authorise sources: a link to go to, a code that comes back, and the grant for which the code is
 * exchanged. A code is good once, and so is its exchange: it is no attempt under a lease, and one write keeps what it brings.
 */
import { backoffMs } from './base/backoff.ts'
import { deadline, until, type Env } from './base/env.ts'
import { asZhongkongError, ZhongkongError } from './base/errors.ts'
import type { JsonObject } from './base/json.ts'
import { Exchanges } from './exchange.ts'
import type { Keeper } from './keeper/keeper.ts'
import type { Failed, Issued } from './model/failure.ts'
import type { Child, Message, Push } from './model/message.ts'
import type { Source } from './model/source.ts'
import { authorizationOf, linkOf, listAccounts, readMessage, redeem } from './providers/catalogue.ts'
import type { Call, Input, Journey, Listed, Proof, Redeemed } from './providers/provider.ts'
import type { RecoveryAnswer } from './wire/v1.ts'

export type Authorising = {
  /** Whether this source is authorised by a person. */
  isFor(source: Source): boolean
  /** Whether a person has to come to the platform by a click on a page of ours. Throws as `link` does. */
  isEnteredByClick(name: string): Promise<boolean>
  /** The query with which the platform sends a person back holds the code under this name. Throws as `link` does. */
  codeParameter(name: string): Promise<string>
  /** Where a person authorises a source. Throws `not_found`, `bad_request` where nobody can, and as the upstream answers. */
  link(name: string, journey: Journey): Promise<string>
  /** Exchanges what the platform sent a person back with; answers the name of the source that may go on now. */
  complete(name: string, proof: Proof): Promise<string>
  /** Keeps what a platform's message brings its source; false when that is nothing (`Hear` of the callbacks room). */
  hear(source: Source, message: Message): Promise<boolean>
  /**
   * Makes and mends the sources of the accounts that the platform says have authorised this one, a part of its list at a
   * time: from `offset` on, until `next` is null. Any part may be taken again. Throws as `link`.
   */
  recover(name: string, offset: number): Promise<RecoveryAnswer>
}

type House = {
  readonly keeper: Keeper
  readonly env: Env
  /** Aborts when the node stops: no code is used up after it. */
  readonly stopping?: AbortSignal
  readonly exchanges: Exchanges<Exchanged>
  /** Codes that came by a push and are tried again. */
  readonly pending: Set<string>
}

/** What a code brought, and when it was asked for, on the monotonic clock. */
type Exchanged = { readonly issued: Issued; readonly began: number; readonly child: Redeemed['child'] | undefined }

export function createAuthorising(outside: Omit<House, 'exchanges' | 'pending'>): Authorising {
  const house: House = { ...outside, exchanges: new Exchanges(), pending: new Set() }
  return {
    isFor: (source) => authorizationOf(source) !== undefined,
    isEnteredByClick: async (name) => (await authorisable(house, name)).way.isEnteredByClick === true,
    codeParameter: async (name) => (await authorisable(house, name)).way.codeParameter,
    link: (name, journey) => link(house, name, journey),
    complete: async (name, proof) => await complete(house, (await authorisable(house, name)).source, proof),
    hear: (source, message) => hear(house, source, message),
    recover: (name, offset) => recover(house, name, offset),
  }
}

async function link(house: House, name: string, journey: Journey): Promise<string> {
  const { source } = await authorisable(house, name)
  const ask = (call: Call): ReturnType<typeof linkOf> => linkOf(source, call, journey)
  const found = await withLivingToken(house, source, ask, (told) =>
    told !== undefined && 'refused' in told ? told.refused : null,
  )
  if (found === undefined) throw nobodyCan(source)
  if ('url' in found) return found.url
  throw refused(found.refused)
}

/** The source that the grant is for is made by it, where it is not the one that was authorised. */
async function complete(house: House, source: Source, proof: Proof): Promise<string> {
  const { clock } = house.env
  return await house.exchanges.take(source.name, proof.code, {
    exchange: async () => {
      const began = clock.monotonic()
      const ask = (call: Call): ReturnType<typeof redeem> => redeem(source, call, proof)
      const { attempt, child } = await withLivingToken(house, source, ask, ({ attempt: told }) =>
        told.outcome === 'issued' ? null : told,
      )
      if (attempt.outcome !== 'issued') throw refused(attempt)
      return { issued: attempt.issued, began, child }
    },
    keep: async ({ issued, began, child }) => {
      const name = child === undefined ? source.name : childName(source, child.account)
      await house.keeper.authorize(
        name,
        { issued, sentAgoMs: clock.monotonic() - began },
        definitionUnder(source, child),
      )
      return name
    },
  })
}

async function hear(house: House, source: Source, message: Message): Promise<boolean> {
  return await take(house, source, readMessage(source, message))
}

/** Keeps what was pushed; false when others are to be told of it, too. */
async function take(house: House, source: Source, push: Push): Promise<boolean> {
  switch (push.kind) {
    case 'none':
      return false
    case 'grant':
      await deliver(house, source, push)
      // That an organisation consented is for other programs, too: what else came with it is not used here.
      return push.child === undefined
    case 'authorized':
      await completeOrMend(house, source, push)
      return true
    case 'revoked': {
      const name = push.child === null ? source.name : childName(source, push.child)
      if ((await house.keeper.source(name)) !== undefined) await house.keeper.revoke(name, push.at)
      return true
    }
    case 'several': {
      let isOurs = push.pushes.length > 0
      for (const each of push.pushes) isOurs = (await take(house, source, each)) && isOurs
      return isOurs
    }
  }
}

/** What was given in the future by our clock was given now: nothing that comes after it may seem older. */
async function deliver({ keeper, env }: House, source: Source, push: Extract<Push, { kind: 'grant' }>): Promise<void> {
  const { child, value, at, livesMs } = push
  const name = child === undefined ? source.name : childName(source, child.account)
  if (child !== undefined && (await keeper.source(name)) === undefined) {
    await keeper.put(name, definitionUnder(source, child))
  }
  await keeper.deliver(name, { value, at: Math.min(at, env.clock.now()), lifetimeMs: livesMs })
}

/**
 * Where the platform says whose authorisation it is, the source is made though the code brings nothing: it was used
 * already, by another node say, or cannot be exchanged now. Its grant is then asked for when it is needed.
 */
async function completeOrMend(
  house: House,
  source: Source,
  push: Extract<Push, { kind: 'authorized' }>,
): Promise<void> {
  const { code, child } = push
  try {
    await complete(house, source, { code, journey: null })
  } catch (thrown) {
    if (child !== undefined)
      await house.keeper.mend(childName(source, child.account), definitionUnder(source, child), null)
    // A code that is no good does not get better by being sent again.
    else if (!isSpent(thrown)) {
      void completeLater(house, source, code)
      throw thrown
    }
  }
}

/** Platforms say ten minutes of their codes, and send a message three times within seconds. In milliseconds. */
const codeMs = 540_000
const laterBackoff = { baseMs: 1_000, capMs: 15_000 }
const pendingMax = 1_000

/** Tries a code again whose exchange failed for a reason that may pass. Never rejects; nobody waits for it. */
async function completeLater(house: House, source: Source, code: string): Promise<void> {
  const { env, pending, stopping } = house
  const key = `${source.name} ${code}`
  if (pending.has(key) || pending.size >= pendingMax) return
  pending.add(key)
  const endsAt = env.clock.monotonic() + codeMs
  let isOver = false
  for (let failures = 1; !isOver && env.clock.monotonic() < endsAt; failures += 1) {
    await env.clock.sleep(backoffMs(failures, laterBackoff, env.random.next()), stopping)
    isOver = stopping?.aborted === true
    if (!isOver) isOver = await complete(house, source, { code, journey: null }).then(() => true, isSpent)
  }
  pending.delete(key)
}

/** Sources that are made or mended at the same time. */
const atOnce = 8

async function recover(house: House, name: string, offset: number): Promise<RecoveryAnswer> {
  const { source } = await authorisable(house, name)
  const ask = (call: Call): ReturnType<typeof listAccounts> => listAccounts(source, call, offset)
  const refusalIn = (told: Awaited<ReturnType<typeof ask>>): Failed | null =>
    told !== undefined && 'refused' in told ? told.refused : null
  const { clock } = house.env
  const began = clock.monotonic()
  const told = await withLivingToken(house, source, ask, refusalIn)
  if (told === undefined) throw new ZhongkongError('bad_request', `nobody lists the accounts of ${source.kind}`)
  if ('refused' in told) throw refused(told.refused)
  const counts = { made: 0, mended: 0, kept: 0 }
  const failed: { name: string; detail: string }[] = []
  const queue = [...told.accounts]
  const mend = async ({ account, definition, grant }: Listed): Promise<void> => {
    const child = childName(source, account)
    try {
      // It was so when the list was asked for: whatever has come to the source since is newer.
      const given = grant === null ? null : { value: grant, toldAgoMs: clock.monotonic() - began }
      counts[await house.keeper.mend(child, { ...definition, of: name }, given)] += 1
    } catch (thrown) {
      const { code, message } = asZhongkongError(thrown)
      // Without a store nothing more can be done, and this part is to be taken again.
      if (code !== 'bad_request' && code !== 'conflict') throw thrown
      failed.push({ name: child, detail: message })
    }
  }
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await mend(next)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return { total: told.total, next: told.next, ...counts, failed }
}

function childName({ name }: Source, account: string): string {
  return `${name}/${account}`
}

/** The definition of an account names the source that it is under. */
function definitionUnder(source: Source, child: Child): JsonObject
function definitionUnder(source: Source, child: Child | undefined): JsonObject | undefined
function definitionUnder({ name }: Source, child: Child | undefined): JsonObject | undefined {
  return child === undefined ? undefined : { ...child.definition, of: name }
}

type Way = NonNullable<ReturnType<typeof authorizationOf>>

/** A source that a person authorises, and how. */
async function authorisable({ keeper }: House, name: string): Promise<{ readonly source: Source; readonly way: Way }> {
  const source = await keeper.source(name)
  if (source === undefined) throw new ZhongkongError('not_found', 'no such source')
  const way = authorizationOf(source)
  if (way === undefined) throw nobodyCan(source)
  return { source, way }
}

/** `withCall`, and once more with another token where the platform says that the source's own is dead: nobody else may notice. */
async function withLivingToken<T>(
  house: House,
  source: Source,
  ask: (call: Call) => Promise<T>,
  refusalIn: (told: T) => Failed | null,
): Promise<T> {
  let token: string | undefined
  const told = await withCall(house, source, (call) => {
    token = call.held?.token
    return ask(call)
  })
  const errcode = refusalIn(told)?.failure.upstream?.errcode
  const isDead = errcode !== undefined && source.semantics.invalidTokenCodes.includes(errcode)
  if (token === undefined || !isDead) return told
  await house.keeper.refresh(source.name, { stale: token, witness: { kind: 'input', client: null } })
  return await withCall(house, source, ask)
}

/** A request outside of the schedule: with the tokens it needs, and within the time of one attempt. */
async function withCall<T>(house: House, source: Source, ask: (call: Call) => Promise<T>): Promise<T> {
  const { keeper, env } = house
  const inputs = new Map<string, Input>()
  const input = async (name: string): Promise<Input> => {
    const { snapshot } = await keeper.get(name)
    const account = (await keeper.source(name))?.credential?.account
    const { token, version, fields } = snapshot
    return { token, version, fields, ...(account === undefined ? {} : { account }) }
  }
  for (const need of source.needs) inputs.set(need, await input(need))
  const own = authorizationOf(source)?.isAskedWithToken === true ? await input(source.name) : null
  const time = deadline(env.clock, source.policy.timeoutMs)
  try {
    const answer = ask({
      env,
      signal: time.signal,
      force: false,
      inputs,
      ...(own === null ? {} : { held: { token: own.token, fields: own.fields, isReported: false } }),
      ...(source.policy.proxy === undefined ? {} : { proxy: source.policy.proxy }),
    })
    return await until(answer, time.signal)
  } catch (thrown) {
    if (!time.signal.aborted) throw thrown
    throw new ZhongkongError('authorization_refused', 'the platform did not answer in time')
  } finally {
    time.done()
  }
}

function nobodyCan({ kind }: Source): ZhongkongError {
  return new ZhongkongError('bad_request', `this source of kind ${kind} is not authorised by a person`, {
    hint: {
      en: 'Secrets are enough for it. An `oauth2` source is authorised by a person with `grant: authorization_code`.',
      zh: '该来源只需密钥，无需授权。`oauth2` 来源须配置 `grant: authorization_code` 才由人授权。',
    },
  })
}

function isSpent(thrown: unknown): boolean {
  const { cause } = asZhongkongError(thrown)
  return typeof cause === 'object' && cause !== null && 'class' in cause && cause.class === 'needs-authorization'
}

function refused(failed: Failed): ZhongkongError {
  const { failure } = failed
  return new ZhongkongError('authorization_refused', failure.message, {
    cause: failed,
    ...(failure.upstream === undefined ? {} : { upstream: failure.upstream }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  })
}
