/** From an answer to a Response, spoilt by the effects that struck. */
import type { JsonObject } from '../base/json.ts'
import { lifetimeForms, type Effect } from './effect.ts'
import { setAt, valueAt } from './json-path.ts'
import { mediaOf } from './media.ts'
import { connectionLost, pause } from './connection.ts'
import type { Answer, Given } from './upstream.ts'
import type { SimulatorClock } from './world.ts'

/** Stands for a text that is no JSON value until the whole body has been written. */
const rawMark = '@@raw@@'
const page = '<!DOCTYPE html><html><head><title>Notice</title></head><body><h1>Please sign in</h1></body></html>\n'

/** An answer on its way out: `text` is what remains of the body. */
type Draft = { status: number; headers: Record<string, string>; text: string }

/** The plain way out, without effects. */
export function respond(answer: Answer): Response {
  const { mediaBytes } = answer
  if (mediaBytes !== undefined) {
    const headers = { ...answer.headers, 'content-type': 'image/jpeg', 'content-length': String(mediaBytes) }
    return new Response(mediaOf(mediaBytes), { status: answer.status, headers })
  }
  return new Response(JSON.stringify(answer.body), { status: answer.status, headers: answer.headers })
}

/** The Response after all effects. Those that end in no answer at all are not its business. */
export function respondSpoilt(answer: Answer, effects: readonly Effect[], clock: SimulatorClock): Response {
  const { body, raw } = spoilBody(answer, effects)
  let text = JSON.stringify(body)
  if (raw !== null) text = text.replace(JSON.stringify(rawMark), () => raw)
  const draft: Draft = { status: answer.status, headers: { ...answer.headers }, text }
  for (const effect of effects.filter(isDraftEffect)) spoilDraft(draft, effect, answer.given)
  return stream(draft, effects, clock)
}

/** The answer of an effect that came in place of the upstream. */
export function respondInstead(effects: readonly Effect[], clock: SimulatorClock): Response {
  const draft: Draft = { status: 200, headers: {}, text: '' }
  for (const effect of effects.filter(isDraftEffect)) spoilDraft(draft, effect, null)
  return stream(draft, effects, clock)
}

function spoilBody(answer: Answer, effects: readonly Effect[]): { body: JsonObject; raw: string | null } {
  let { body } = answer
  let raw: string | null = null
  const { given } = answer
  if (given === null) return { body, raw }
  for (const effect of effects) {
    if (effect.type === 'token') body = setAt(body, given.tokenAt, oddToken(effect.as, given.issue.value))
    if (effect.type === 'errcode-with-token') body = { ...body, errcode: effect.code, errmsg: effect.text }
    if (effect.type === 'lifetime' && given.lifetimeAt !== null) {
      raw = effect.raw ?? oddLifetime(effect.as, valueAt(answer.body, given.lifetimeAt))
      body = setAt(body, given.lifetimeAt, raw === null ? undefined : rawMark)
    }
  }
  return { body, raw }
}

/** The raw JSON text that stands where the lifetime belongs; null: nothing stands there. */
function oddLifetime(as: keyof typeof lifetimeForms, right: unknown): string | null {
  if (as === 'text') return JSON.stringify(String(right))
  return lifetimeForms[as] ?? null
}

function oddToken(as: Extract<Effect, { type: 'token' }>['as'], right: string): string | number | null | undefined {
  switch (as) {
    case 'empty':
      return ''
    case 'missing':
      return undefined
    case 'null':
      return null
    case 'number':
      return 42
    case 'crlf':
      return `${right}\r\nx-injected: 1`
    case 'non-ascii':
      return `${right}令牌`
    case 'long':
      return right.padEnd(5_000, 'x')
    case 'dead':
      return Array.from(right).reverse().join('')
  }
}

/** The effects on status, headers and text; all others are dealt with elsewhere. */
const draftTypes = ['status', 'html', 'redirect', 'duplicate-keys', 'bom', 'truncate', 'content-type'] as const
type DraftEffect = Extract<Effect, { type: (typeof draftTypes)[number] }>

function isDraftEffect(effect: Effect): effect is DraftEffect {
  return draftTypes.some((type) => type === effect.type)
}

function spoilDraft(draft: Draft, effect: DraftEffect, given: Given | null): void {
  switch (effect.type) {
    case 'status':
      draft.status = effect.status
      draft.text = effect.body
      draft.headers = { 'content-type': 'text/plain' }
      if (effect.retryAfter !== undefined) draft.headers['retry-after'] = effect.retryAfter
      break
    case 'html':
      draft.status = effect.status
      draft.text = page
      draft.headers = { 'content-type': 'text/html; charset=utf-8' }
      break
    case 'redirect':
      draft.status = effect.status
      draft.text = ''
      draft.headers = { location: effect.location }
      break
    case 'duplicate-keys': {
      const key = JSON.stringify(given?.tokenAt.at(-1) ?? '')
      draft.text = draft.text.replace(`${key}:`, () => `${key}:"decoy",${key}:`)
      break
    }
    case 'bom':
      draft.text = `\u{feff}${draft.text}`
      break
    case 'truncate':
      draft.text = draft.text.slice(0, effect.keep ?? draft.text.length / 2)
      break
    case 'content-type':
      draft.headers['content-type'] = effect.value
      break
  }
}

/** The last step: how the bytes travel. Of several such effects the first one holds. */
function stream(draft: Draft, effects: readonly Effect[], clock: SimulatorClock): Response {
  const init = { status: draft.status, headers: draft.headers }
  if (draft.status === 204 || draft.status === 205 || draft.status === 304) return new Response(null, init)
  for (const effect of effects) {
    if (effect.type === 'cut') return new Response(cut(draft.text, effect.keep), init)
    if (effect.type === 'drip') return new Response(drip(draft.text, effect.bytes, effect.everyMs, clock), init)
    if (effect.type === 'huge') return new Response(huge(draft.text, effect.bytes), init)
  }
  return new Response(draft.text, init)
}

type Body = ReadableStream<Uint8Array<ArrayBuffer>>
/** Nothing is made before it is read: a caller that stops reading costs nothing. */
const lazily = { highWaterMark: 0 }

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}

function cut(text: string, keep: number | undefined): Body {
  const bytes = bytesOf(text)
  const kept = bytes.slice(0, keep ?? Math.floor(bytes.length / 2))
  let isSent = kept.length === 0
  return new ReadableStream(
    {
      pull: (controller) => {
        if (isSent) controller.error(connectionLost())
        else controller.enqueue(kept)
        isSent = true
      },
    },
    lazily,
  )
}

function drip(text: string, size: number, everyMs: number, clock: SimulatorClock): Body {
  const bytes = bytesOf(text)
  const stop = new AbortController()
  let at = 0
  return new ReadableStream(
    {
      pull: async (controller) => {
        await pause(clock, everyMs, stop.signal)
        if (stop.signal.aborted) return
        controller.enqueue(bytes.slice(at, at + size))
        at += size
        if (at >= bytes.length) controller.close()
      },
      cancel: () => stop.abort(),
    },
    lazily,
  )
}

function huge(text: string, padding: number): Body {
  const chunk = new Uint8Array(65_536).fill(0x20)
  let left = padding
  return new ReadableStream(
    {
      pull: (controller) => {
        if (left > 0) {
          // Each chunk is a copy: whoever reads a stream owns what came out of it.
          controller.enqueue(chunk.slice(0, Math.min(left, chunk.length)))
          left -= chunk.length
          return
        }
        controller.enqueue(bytesOf(text))
        controller.close()
      },
    },
    lazily,
  )
}
