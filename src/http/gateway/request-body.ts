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
      // Reserved whole, as the length of the others is only known when they have come.
      const reserved = length ?? heldBytesMax
      if (reserved > heldBytesMax || heldBytes + reserved > allBytesMax) {
        return { content: body, isReplayable: false, release: () => undefined }
      }
      heldBytes += reserved
      let isReleased = false
      const release = (): void => {
        if (!isReleased) heldBytes -= reserved
        isReleased = true
      }
      try {
        const content = await readUpTo(body, reserved)
        if (content instanceof Uint8Array) return { content, isReplayable: true, release }
        return { content, isReplayable: false, release }
      } catch (thrown) {
        release()
        throw thrown
      }
    },
  }
}

/** The whole body, or where it is longer, a stream of it from its beginning. */
async function readUpTo(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  const iterator = body[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let size = 0
  while (size <= bytesMax) {
    const next = await iterator.next()
    if (next.done === true) return Buffer.concat(chunks, size)
    chunks.push(next.value)
    size += next.value.byteLength
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
