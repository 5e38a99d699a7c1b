/** A stream that is written from outside and never waits: what its reader leaves lying is counted, and has a limit. */

export type Outlet = {
  readonly stream: ReadableStream<Uint8Array>
  readonly send: (bytes: Uint8Array) => void
  /** What was sent before is still given out. */
  readonly end: () => void
}

/**
 * What may wait for a reader, in bytes, beside what its socket holds. All readers of one circle wait for the same bytes, so
 * this is no memory of each; and a burst of thousands of facts in one moment must not cut off those who read.
 */
const waitingBytesMax = 1_048_576

/** `onGone`: the reader has left. `onSlow`: it leaves too much lying, which is dropped. */
export function createOutlet({ onGone, onSlow }: { onGone: () => void; onSlow: () => void }): Outlet {
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let isAsked = false
  let isEnded = false
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (made) => {
        controller = made
      },
      pull: (made) => {
        const next = waiting.shift()
        if (next === undefined) {
          if (isEnded) made.close()
          isAsked = true
          return
        }
        waitingBytes -= next.byteLength
        made.enqueue(next)
        if (isEnded && waiting.length === 0) made.close()
      },
      cancel: () => {
        isEnded = true
        waiting = []
        onGone()
      },
    },
    { highWaterMark: 0 },
  )
  return {
    stream,
    send: (bytes) => {
      if (isEnded) return
      if (isAsked) {
        isAsked = false
        controller?.enqueue(bytes)
        return
      }
      waiting.push(bytes)
      waitingBytes += bytes.byteLength
      if (waitingBytes <= waitingBytesMax) return
      waiting = []
      onSlow()
    },
    end: () => {
      if (isEnded) return
      isEnded = true
      if (waiting.length === 0) controller?.close()
    },
  }
}
