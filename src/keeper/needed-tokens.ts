/**
 * The tokens that a source is asked with: one that may not be used is refreshed first, and waited for. A source that
 * comes to wait for itself is told at once; two of them that were put at the same moment may stand in the store like that.
 */
import { deadline, until } from '../base/env.ts'
import { ZhongkongError } from '../base/errors.ts'
import type { Entry } from '../model/entry.ts'
import type { Failure } from '../model/failure.ts'
import { grantOf } from '../model/grant.ts'
import type { Source } from '../model/source.ts'
import { missingOf, type NeedInput, type Tended } from './attempt.ts'
import { isSound } from './refresh.ts'
import { lookUp, type Room } from './room.ts'

/** A source waits this long for the look at one that it needs, in milliseconds; later it is woken. */
const needMsMax = 15_000
/** What only a change of the sources can mend is looked at again after this time, in milliseconds. */
const unmendedMs = 20_000

export class NeededTokens {
  readonly #room: Room
  readonly #tend: (name: string) => Promise<Tended>
  /** What each source waits for at this moment; there is one look at a source at a time, and one need after the other. */
  readonly #waitsFor = new Map<string, string>()

  constructor(room: Room, tend: (name: string) => Promise<Tended>) {
    this.#room = room
    this.#tend = tend
  }

  readonly take: NeedInput = async (source, need) => {
    const room = this.#room
    const before = await lookUp(room, need)
    if (before === null) {
      const failure = { code: 'input_unknown', message: `the needed source ${need} does not exist` }
      return { failure, until: room.time.now() + unmendedMs }
    }
    if (isSound(before.source, before.entry, room.time.now()))
      return inputOf(before.source, before.entry, room.time.now())
    const circle = this.#circle(source, need)
    if (circle !== null) return { failure: circleFailure(circle), until: room.time.now() + unmendedMs }
    const tended = await this.#tendBriefly(source, need)
    const after = await lookUp(room, need)
    if (after !== null && isSound(after.source, after.entry, room.time.now())) {
      return inputOf(after.source, after.entry, room.time.now())
    }
    const now = room.time.now()
    const lookAt = tended === null ? now : 'until' in tended ? tended.until : now + unmendedMs
    const above = tended?.kind === 'blocked' ? tended.failure : missingOf(before.source, tended)
    const failure = after?.entry.trouble?.failure ?? above
    return { failure, until: Math.max(lookAt, now + 500) }
  }

  /** The way back to `source` if what it needs already waits for it; null when it does not. */
  #circle(source: string, need: string): readonly string[] | null {
    const way = [source, need]
    for (let at: string | undefined = need; at !== source; way.push(at)) {
      at = this.#waitsFor.get(at)
      if (at === undefined) return null
    }
    return way
  }

  /** Looks at a needed source, for a bounded time. Null when the time was over first, or the node stops. */
  async #tendBriefly(source: string, need: string): Promise<Tended | null> {
    const time = deadline(this.#room.env.clock, needMsMax, this.#room.stopping)
    this.#waitsFor.set(source, need)
    try {
      return await until(this.#tend(need), time.signal)
    } catch (thrown) {
      if (time.signal.aborted) return null
      throw thrown
    } finally {
      this.#waitsFor.delete(source)
      time.done()
    }
  }
}

function circleFailure(circle: readonly string[]): Failure {
  return {
    code: 'input_circle',
    message: `these sources wait for each other: ${circle.join(' → ')}`,
    hint: {
      en: 'Change one of them so that it is asked without the token of the next.',
      zh: '请修改其中一个来源，使其不再依赖下一个来源的令牌。',
    },
  }
}

function inputOf(source: Source, entry: Entry, now: number): Awaited<ReturnType<NeedInput>> {
  if (entry.token === null) throw new ZhongkongError('internal', `${source.name} was judged sound without a token`)
  const { value, version, fields } = entry.token
  const grant = grantOf(source, entry, now)
  return {
    input: {
      token: value,
      version,
      fields,
      ...(source.credential === null ? {} : { account: source.credential.account }),
      ...(grant === null ? {} : { grant: grant.value }),
    },
  }
}
