/** The door of the config room. */
import type { Secret } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import type { ClientGrant } from '../model/client.ts'
import type { SinkConfig } from '../model/sink.ts'
import type { Source } from '../model/source.ts'

export type Config = {
  /** Absolute path of the file. */
  readonly path: string
  readonly server: {
    /** `HOST:PORT`, `[v6]:PORT` or `unix:/path`. */
    readonly listen: string
    /** Absolute paths of PEM files. */
    readonly tls: { readonly cert: string; readonly key: string } | null
    readonly trustedNetwork: boolean
    /** Processes behind the address; 1 to 64. */
    readonly workers: number
    /** The address by which browsers reach this server, without a slash at the end; absent when it was not said. */
    readonly publicUrl?: string
  }
  /** 32 bytes, or null when a key file beside the database is to be used. */
  readonly encryptionKey: Uint8Array | null
  /** `memory:`, `sqlite:PATH` (absolute after loading) or a server's URL, which may hold a password: show `shownStore`. */
  readonly store: string
  /** Absolute path of the folder for grants that the store cannot take; null for `memory:`. */
  readonly spill: string | null
  readonly sources: readonly Source[]
  readonly clients: readonly ClientGrant[]
  readonly compat: {
    readonly tokenboy: { readonly allow: readonly string[] } | null
    readonly wechatTokenServer: { readonly secret: Secret } | null
  }
  readonly sinks: readonly SinkConfig[]
}

/** What can be wrong with a configuration, as stable words for programs; docs/config.md lists them. */
export type ConfigIssueCode =
  | 'file_unreadable'
  | 'file_too_large'
  | 'file_not_text'
  | 'yaml_syntax'
  | 'yaml_duplicate_key'
  | 'yaml_bad_key'
  | 'yaml_bad_value'
  | 'yaml_bad_alias'
  | 'yaml_too_deep'
  | 'reference_bad'
  | 'reference_unset'
  | 'env_file_syntax'
  | 'env_file_open'
  | 'secret_file_unreadable'
  | 'secret_file_open'
  | 'secret_literal'
  | 'secret_short'
  | 'key_unknown'
  | 'key_missing'
  | 'value_type'
  | 'value_invalid'
  | 'not_in_this_version'
  | 'no_sources'
  | 'source_name'
  | 'source_invalid'
  | 'source_unknown'
  | 'source_cycle'
  | 'source_too_deep'
  | 'client_key_shared'
  | 'glob_without_match'
  | 'exposed_without_clients'
  | 'exposed_without_tls'
  | 'exposed_tokenboy'
  | 'exposed_secret'
  | 'exposed_sink'

/** One thing wrong with a configuration, with its place (lines and columns count from 1) and a way to mend it. */
export type ConfigIssue = {
  readonly severity: 'error' | 'warning'
  readonly code: ConfigIssueCode
  readonly file: string
  readonly line: number
  readonly column: number
  /** Dotted path of the key, such as `sources.weixin.secret`. */
  readonly path: string
  readonly message: Text
  readonly fix: Text | null
  /** The line with every value masked that might be a secret, and the caret's column in it; null when there is no line. */
  readonly excerpt: { readonly text: string; readonly column: number } | null
}
