/** The line between caller and upstream: how it breaks, how one waits on it, and how much of a body is read. */
import { ZhongkongError } from '../base/errors.ts'
import type { SimulatorClock } from './world.ts'

/** More than this of a request is not read. */
export const bodyBytesMax = 1_048_576

/** What a fetch rejects with when there is no connection; nothing reached the other side. */
export function connectionRefused(code: string): TypeError {
  return broken(code, `connect ${code} (simulated)`)
}

/** What a fetch rejects with when the connection is reset; nobody knows what the other side did. */
export function connectionLost(): TypeError {
  return broken('ECONNRESET', 'read ECONNRESET (simulated)')
}

function broken(code: string, message: string): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(message), { code }) })
}

/** Waits for the whole time, though a single sleep is never longer than a minute. Ends early when `signal` aborts. */
export async function pause(clock: SimulatorClock, ms: number, signal?: AbortSignal): Promise<void> {
  const endsAt = clock.monotonic() + ms
  for (let left = ms; left > 0 && signal?.aborted !== true; left = endsAt - clock.monotonic()) {
    await clock.sleep(left, signal)
  }
}

/** The body of a request as text, if it is not too long. */
export async function readBody(request: Request): Promise<string> {
  if (request.body === null) return ''
  const reader = request.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    size += value.byteLength
    if (size > bodyBytesMax) {
      await reader.cancel()
      throw new ZhongkongError('payload_too_large', `a body is at most ${bodyBytesMax} bytes`)
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** The body of a request as it comes, whatever its size. */
export async function* bytesOf(request: Request): AsyncGenerator<Uint8Array, void, undefined> {
  if (request.body === null) return
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}
