/**
 * The body of a call: held where it is small enough to be sent a second time, passed through otherwise. What all calls
 * hold together is bounded, so a flood of bodies becomes slower healing and not memory.
 */

/** The largest body that is held, in bytes. */
export const heldBytesMax = 1_048_576
/** What all bodies that are held may take together, in bytes. */
const allBytesMax = 33_554_432

export type RequestBody = {
  /** What is sent: all of it, a stream that can be read once, or nothing. */
  readonly content: Uint8Array | AsyncIterable<Uint8Array> | null
  readonly isReplayable: boolean
  /** Gives the room back. */
  readonly release: () => void
}

export type BodyHolder = {
  /** `length` is what Content-Length says; null when the body says itself where it ends. */
  hold(body: AsyncIterable<Uint8Array> | null, length: number | null): Promise<RequestBody>
}

export function createBodyHolder(): BodyHolder {
  let heldBytes = 0
  return {
    hold: async (body, length) => {
      const nothing = { content: null, isReplayable: true, release: () => undefined }
      if (body === null || length === 0) return nothing
      if (length !== null && length > heldBytesMax)
        return { content: body, isReplayable: false, release: () => undefined }
      // Only what has come takes room: callers who send little for long would keep it from all others.
      let ownBytes = 0
      const mayHold = (bytes: number): boolean => {
        if (ownBytes + bytes > heldBytesMax || heldBytes + bytes > allBytesMax) return false
        ownBytes += bytes
        heldBytes += bytes
        return true
      }
      const release = (): void => {
        heldBytes -= ownBytes
        ownBytes = 0
      }
      try {
        const content = await readWhile(body, mayHold)
        if (content instanceof Uint8Array) return { content, isReplayable: true, release }
        return { content, isReplayable: false, release }
      } catch (thrown) {
        release()
        throw thrown
      }
    },
  }
}

/** The whole body, or where it may not be held, a stream of it from its beginning. */
async function readWhile(
  body: AsyncIterable<Uint8Array>,
  mayHold: (bytes: number) => boolean,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  const iterator = body[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  for (let isHeld = true; isHeld;) {
    const next = await iterator.next()
    if (next.done === true) return Buffer.concat(chunks)
    chunks.push(next.value)
    isHeld = mayHold(next.value.byteLength)
  }
  return (async function* () {
    try {
      while (chunks.length > 0) yield chunks.shift() ?? new Uint8Array()
      for (;;) {
        const next = await iterator.next()
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await iterator.return?.()
    }
  })()
}
