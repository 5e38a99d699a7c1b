/** Sinks as the configuration has them, and how each is doing. */
import type { Secret } from '../base/secret.ts'
import type { SinkLayout } from './sink-layout.ts'

type Common = {
  /** How logs, metrics and `/v1/sinks` call it; its kind and place in the list when absent. */
  readonly name?: string
  /** Globs over source names. */
  readonly sources: readonly string[]
}

export type FileSinkConfig = Common & {
  readonly kind: 'file'
  /** `{name}` stands for the source's name (slashes become `__`). */
  readonly path: string
  /** `json`: an object with token, expires_at …; `plain`: the token alone; `env`: lines of NAME=value. */
  readonly format: 'json' | 'plain' | 'env'
  /** Octal file mode; default 0o600. */
  readonly mode: number
  /** Name or number; absent: whoever runs this process. */
  readonly owner?: string
  readonly group?: string
}

export type RedisSinkConfig = Common & {
  readonly kind: 'redis'
  /** May hold a password: never shown. */
  readonly url: string
  readonly layout: SinkLayout
}

export type WebhookSinkConfig = Common & {
  readonly kind: 'webhook'
  /** Path and query may hold a secret: only the origin is shown. */
  readonly url: string
  readonly secret: Secret
  /** Sends the token along; never over plain HTTP to another machine. */
  readonly includesToken: boolean
  readonly timeoutMs: number
}

export type KubernetesSinkConfig = Common & {
  readonly kind: 'kubernetes'
  /** Name of the Secret; `{name}` stands for the source's name in small letters, digits, dots and dashes. */
  readonly secretName: string
  /** Absent: the namespace of the service account. */
  readonly namespace?: string
  /** URL of the API server. */
  readonly server: string
  /** Absolute paths, read anew for each request: the cluster replaces what is in them. */
  readonly tokenFile: string
  readonly caFile: string
  readonly namespaceFile: string
}

export type SinkConfig = FileSinkConfig | RedisSinkConfig | WebhookSinkConfig | KubernetesSinkConfig

/** What was not delivered and never will be. */
export type Dropped = {
  /** The source. */
  readonly source: string
  /** Null: the news that the source was removed. */
  readonly version: number | null
  /**
   * `superseded`: a newer version came before this one could be delivered; `expired`: its time was over first;
   * `refused`: the other side, or the sink itself, wants none of it.
   */
  readonly reason: 'superseded' | 'expired' | 'refused'
  /** Epoch milliseconds. */
  readonly at: number
  readonly message: string
}

/** How a sink is doing on this node. Never a token or a secret. */
export type SinkStatus = {
  readonly name: string
  readonly kind: SinkConfig['kind']
  /** Where it writes to, without secrets. */
  readonly to: string
  readonly state: 'ok' | 'failing'
  /** Sources that wait for their delivery. */
  readonly pending: number
  readonly delivered: number
  /** Failures since the last success of the sink. */
  readonly failures: number
  /** Since when it fails, and why; epoch milliseconds. */
  readonly trouble: { readonly since: number; readonly message: string } | null
  readonly lastDeliveredAt: number | null
  readonly droppedCount: number
  /** The newest first. */
  readonly dropped: readonly Dropped[]
}
