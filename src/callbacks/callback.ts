/**
 * The door of the callbacks room: what platforms send to a source, from the request to the answer. What a message brings
 * the source is for others to keep (`Hear`); all the rest is passed on. An answer comes within `answerMsMax`, because
 * platforms send again what took five seconds.
 */
import { deadline, until, type Env } from '../base/env.ts'
import { Secret } from '../base/secret.ts'
import type { Message } from '../model/message.ts'
import type { Callback, Source } from '../model/source.ts'
import { createForwarder, wanting, type Forwarder } from './forward.ts'
import { createJournal, type Journal, type JournalOptions } from './journal.ts'
import { createMemory } from './memory.ts'
import { receive, schemes } from './receive.ts'
import type { Post, Reply } from './scheme.ts'

export type { Heard, Refusals, Verdict } from './journal.ts'
export type { Post, Reply } from './scheme.ts'
export { verdicts } from './journal.ts'

/**
 * Keeps what a message brings its source. True: it was for this server and is kept, as surely as the store keeps
 * anything. False: it is for others. Rejects when it could not be kept: then the platform sends it again. The same message
 * may come twice, also at the same time.
 */
export type Hear = (source: Source, message: Message) => Promise<boolean>

export type CallbacksOptions = Pick<JournalOptions, 'emit' | 'count'> & { readonly env: Env; readonly hear: Hear }

export type Callbacks = {
  /**
   * Answers a request; null when it is not believed, whatever the reason. Rejects when the message could not be handled
   * and is to be sent again.
   */
  take(source: Source | undefined, post: Post): Promise<Reply | null>
  readonly journal: Pick<Journal, 'messages' | 'refusals'>
  /** Resolves when nothing is being forwarded any more; within `answerMsMax`. */
  settle(): Promise<void>
}

/** Platforms give up after five seconds; half a second is left for the way back. In milliseconds. */
export const answerMsMax = 4_500

export function createCallbacks({ env, hear, emit, count }: CallbacksOptions): Callbacks {
  const journal = createJournal({ clock: env.clock, emit, count })
  const memory = createMemory<Reply>()
  const desk: Desk = { env, hear, journal, forwarder: createForwarder(env), underWay: new Set() }
  let decoy: Callback | undefined
  return {
    take: async (source, post) => {
      const callback = source?.callback ?? null
      const refuse = (reason: Parameters<Journal['refuse']>[1]): null => {
        journal.refuse(callback === null ? null : (source?.name ?? null), reason)
        return null
      }
      // Without a source the same work is done, for a callback that nobody can sign for.
      const received = receive(callback ?? (decoy ??= decoyOf(env)), post, env.clock.now())
      if ('refused' in received) return refuse(received.refused)
      if (source === undefined || callback === null) return refuse('signature')
      const { name } = source
      if ('check' in received) {
        const content = `check ${received.check?.body.toString() ?? ''}`
        if (!memory.bind(name, { key: received.key, content })) return refuse('replayed')
        journal.begin(name, { type: null, event: null, account: null })('checked')
        return received.check ?? acknowledge(env, callback)
      }
      const { message, key } = received
      const handling = memory.hear(name, { key, content: message.raw }, () =>
        handle(desk, { source, callback, post, message }),
      )
      if (handling.how === 'forged') return refuse('replayed')
      if (handling.how === 'first') return await handling.outcome
      journal.begin(name, message)('repeated')
      return handling.how === 'joined' ? await handling.outcome : acknowledge(env, callback)
    },
    journal,
    settle: async () => {
      await Promise.all(desk.underWay)
    },
  }
}

type Desk = {
  readonly env: Env
  readonly hear: Hear
  readonly journal: Journal
  readonly forwarder: Forwarder
  /** What is still being forwarded, also behind an answer that was given. */
  readonly underWay: Set<Promise<unknown>>
}

type Taken = { readonly source: Source; readonly callback: Callback; readonly post: Post; readonly message: Message }

async function handle(desk: Desk, { source, callback, post, message }: Taken): Promise<Reply> {
  const { env, hear, journal, forwarder, underWay } = desk
  const note = journal.begin(source.name, message)
  const { signal, done } = deadline(env.clock, answerMsMax)
  try {
    if (await until(hear(source, message), signal)) {
      done()
      note('taken')
      return acknowledge(env, callback)
    }
    const targets = wanting(callback.forward, message)
    const { headers } = schemes[callback.scheme]
    const { answer, ended } = forwarder.forward(source.name, targets, { post, headers, signal })
    const whole = ended.finally(() => {
      done()
      underWay.delete(whole)
    })
    underWay.add(whole)
    const reply = await answer
    note(targets.length === 0 ? 'ignored' : reply === null ? 'unanswered' : 'forwarded', ended)
    return reply ?? acknowledge(env, callback)
  } catch (thrown) {
    done()
    note('failed')
    throw thrown
  }
}

function acknowledge({ clock, random }: Env, callback: Callback): Reply {
  const moment = { now: clock.now(), random: (bytes: number) => random.bytes(bytes) }
  return schemes[callback.scheme].acknowledge(callback, moment)
}

function decoyOf({ random }: Env): Callback {
  const token = new Secret(Buffer.from(random.bytes(32)).toString('hex'))
  return { scheme: 'wechat', token, aesKey: null, receiveIds: [], forward: [], maxAgeSeconds: 0 }
}
