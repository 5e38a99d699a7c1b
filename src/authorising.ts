/**
 * How people and platforms authorise sources: a link to go to, a code that comes back, and the grant for which the code is
 * exchanged. A code is good once, and so is its exchange: it is no attempt under a lease, and one write keeps what it brings.
 */
import { deadline, until, type Env } from './base/env.ts'
import { ZhongkongError } from './base/errors.ts'
import type { JsonObject } from './base/json.ts'
import type { Keeper } from './keeper/keeper.ts'
import type { Attempt } from './model/failure.ts'
import type { Child, Message, Push } from './model/message.ts'
import type { Source } from './model/source.ts'
import { authorizationOf, linkOf, readMessage, redeem } from './providers/catalogue.ts'
import type { Call, Input, Journey, Proof } from './providers/provider.ts'

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
}

type House = { readonly keeper: Keeper; readonly env: Env }

export function createAuthorising(house: House): Authorising {
  return {
    isFor: (source) => authorizationOf(source) !== undefined,
    isEnteredByClick: async (name) => (await authorisable(house, name)).way.isEnteredByClick === true,
    codeParameter: async (name) => (await authorisable(house, name)).way.codeParameter,
    link: (name, journey) => link(house, name, journey),
    complete: async (name, proof) => await complete(house, (await authorisable(house, name)).source, proof),
    hear: (source, message) => hear(house, source, message),
  }
}

async function link(house: House, name: string, journey: Journey): Promise<string> {
  const { source } = await authorisable(house, name)
  const found = await withCall(house, source, (call) => linkOf(source, call, journey))
  if (found === undefined) throw nobodyCan(source)
  if ('url' in found) return found.url
  throw refused(found.refused)
}

/** The source that the grant is for is made by it, where it is not the one that was authorised. */
async function complete(house: House, source: Source, proof: Proof): Promise<string> {
  const { clock } = house.env
  const began = clock.monotonic()
  const { attempt, child } = await withCall(house, source, (call) => redeem(source, call, proof))
  if (attempt.outcome !== 'issued') throw refused(attempt)
  const name = child === undefined ? source.name : childName(source, child.account)
  // A source that is there keeps its definition: an operator may have written more into it.
  const isThere = child === undefined || (await house.keeper.source(name))?.kind === child.definition.provider
  const brought = { issued: attempt.issued, sentAgoMs: clock.monotonic() - began }
  await house.keeper.authorize(name, brought, isThere ? undefined : definitionUnder(source, child))
  return name
}

async function hear(house: House, source: Source, message: Message): Promise<boolean> {
  const push = readMessage(source, message)
  switch (push.kind) {
    case 'none':
      return false
    case 'grant':
      await deliver(house, source, push)
      // That an organisation consented is for other programs, too: what else came with it is not used here.
      return push.child === undefined
    case 'authorized':
      await complete(house, source, { code: push.code, journey: null })
      return true
    case 'revoked': {
      const name = push.child === null ? source.name : childName(source, push.child)
      if ((await house.keeper.source(name)) !== undefined) await house.keeper.revoke(name)
      return true
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

function childName({ name }: Source, account: string): string {
  return `${name}/${account}`
}

function definitionUnder({ name }: Source, { definition }: Child): JsonObject {
  return { ...definition, of: name }
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

/** A request outside of the schedule: with the tokens it needs, and within the time of one attempt. */
async function withCall<T>(house: House, source: Source, ask: (call: Call) => Promise<T>): Promise<T> {
  const { keeper, env } = house
  const inputs = new Map<string, Input>()
  const input = async (name: string): Promise<Input> => {
    const { snapshot } = await keeper.get(name)
    return { token: snapshot.token, version: snapshot.version, fields: snapshot.fields }
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

function refused({ failure }: Exclude<Attempt, { outcome: 'issued' }>): ZhongkongError {
  return new ZhongkongError('authorization_refused', failure.message, {
    ...(failure.upstream === undefined ? {} : { upstream: failure.upstream }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  })
}
