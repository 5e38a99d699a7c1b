/** A stream of Server-Sent Events over fetch, as the HTML standard has it: one connection, from its beginning to its end. */

export type StreamEvent = { readonly type: string; readonly data: string }

export type Reading = {
  /** The number up to which everything was heard; for the next connection. */
  lastEventId: string
  /** How long to wait before the next connection, in milliseconds. */
  retryMs: number
}

/** An event larger than this is none of ours, in characters. */
const lengthMax = 1_000_000

/** Reads until the stream ends, or fails, or is aborted. `onBytes` is told of every sign of life. */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  reading: Reading,
  {
    signal,
    onEvent,
    onBytes,
  }: {
    readonly signal: AbortSignal
    readonly onEvent: (event: StreamEvent) => void
    readonly onBytes: () => void
  },
): Promise<void> {
  const reader = body.getReader()
  // Not left to fetch, which may have forgotten the signal by now (see closing.ts).
  const end = (): void => void reader.cancel().catch(() => undefined)
  signal.addEventListener('abort', end)
  const decoder = new TextDecoder()
  let rest = ''
  let type = ''
  let data: string[] = []
  let id: string | null = null
  const take = (line: string): void => {
    if (line === '') {
      if (id !== null) reading.lastEventId = id
      if (data.length > 0) onEvent({ type: type === '' ? 'message' : type, data: data.join('\n') })
      type = ''
      data = []
      return
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === 'data') data.push(value)
    else if (field === 'event') type = value
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d{1,6}$/.test(value)) reading.retryMs = Number(value)
  }
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      onBytes()
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      if (rest.length + data.join('').length > lengthMax) throw new Error('an event without an end')
      lines.forEach(take)
    }
  } finally {
    end()
  }
}
