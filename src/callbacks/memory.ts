/**
 * What this node has heard already. A platform that gets no answer within five seconds sends the message again, up to
 * three times in all; and whoever saw a request on its way may send it again, too. So:
 *
 * - A message is known by its content, as a repeated one may be encrypted and signed anew.
 * - One that is being handled is joined: the answer of the first is the answer of the second.
 * - One that was handled is acknowledged and not handled again.
 * - One whose handling failed is handled: that is what the platform sends it again for.
 * - A signature is good for the content it first came with. A plain one covers no body, so whoever has seen one could
 *   put it on a body of his own.
 *
 * The memory is this process's own and bounded by count. What it forgets is mostly older than `max_age`; behind it,
 * grants never go back in time, and receivers know repeated messages by their id, as platforms ask them to.
 */
import { sha256 } from '../base/secret.ts'

/** Messages remembered at most; the oldest is forgotten first. */
const messagesMax = 50_000

export type Hearing<T> =
  | { readonly how: 'first' | 'joined'; readonly outcome: Promise<T> }
  | { readonly how: 'handled' }
  /** The key has been seen with other content. */
  | { readonly how: 'forged' }

export type Memory<T> = {
  /** Handles what was not handled; `key` is what signs the content. Keys of different sources never meet. */
  hear(source: string, told: Told, handle: () => Promise<T>): Hearing<T>
  /** Whether the key is new or has been seen with this content only. */
  bind(source: string, told: Told): boolean
}

export type Told = { readonly key: string; readonly content: string }

export function createMemory<T>(limit = messagesMax): Memory<T> {
  const contents = new Map<string, string>()
  const handlings = new Map<string, Promise<T> | 'handled'>()
  const bind = (source: string, { key, content }: Told): boolean => {
    const [bound, digest] = [digestOf(source, key), digestOf(source, content)]
    const known = contents.get(bound)
    if (known === undefined) put(contents, limit, bound, digest)
    return known === undefined || known === digest
  }
  return {
    bind,
    hear: (source, told, handle) => {
      if (!bind(source, told)) return { how: 'forged' }
      const digest = digestOf(source, told.content)
      const known = handlings.get(digest)
      if (known === 'handled') return { how: 'handled' }
      if (known !== undefined) return { how: 'joined', outcome: known }
      const outcome = handle()
      put(handlings, limit, digest, outcome)
      outcome.then(
        () => handlings.has(digest) && handlings.set(digest, 'handled'),
        () => handlings.delete(digest),
      )
      return { how: 'first', outcome }
    },
  }
}

function digestOf(source: string, text: string): string {
  return sha256(JSON.stringify([source, text])).toString('base64url')
}

function put<V>(map: Map<string, V>, limit: number, key: string, value: V): void {
  map.set(key, value)
  if (map.size <= limit) return
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}
