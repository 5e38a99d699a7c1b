/** Nodes that are one server together: what they tell each other, and what each makes of it. */
import type { Metrics } from './events/metrics.ts'
import type { SinkStatus } from './model/sink.ts'
import type { ChangeLine } from './stores/announced.ts'

/**
 * What one node tells another of the same server: something was written to the store (null), a source has another token or
 * is gone, or how the sinks that it writes are doing. Never a token.
 */
export type SiblingNotice = { readonly name: string | null } | { readonly sinks: readonly SinkStatus[] }

/** The other nodes of the same server: processes on this machine, over the same store, behind the same address. */
export type Siblings = {
  /** One of them writes what sinks get, so that nothing is overwritten with an older version. */
  readonly writesSinks: boolean
  readonly tell: (notice: SiblingNotice) => void
  readonly hear: (listener: (notice: SiblingNotice) => void) => () => void
  /** The metrics of all of them, given what this one shows. */
  readonly addMetrics: (text: string) => Promise<string>
}

/** The line over which writes to the store are announced. */
export function changeLine({ tell, hear }: Siblings): ChangeLine {
  return {
    tell: () => tell({ name: null }),
    hear: (onTold) =>
      hear((notice) => {
        if ('name' in notice && notice.name === null) onTold()
      }),
  }
}

/** The metrics of all siblings, as one of them exposes them. */
export async function exposeAll(metrics: Metrics, { addMetrics }: Siblings): Promise<{ type: string; text: string }> {
  const { type, text } = await metrics.expose()
  return { type, text: await addMetrics(text) }
}
