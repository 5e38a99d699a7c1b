/**
 * What the supervisor and its workers say to each other. It stays between processes of one server, over the channels that
 * Node made with them: the files of the configuration hold secrets, but nothing here holds a token.
 */
import type { SiblingNotice } from '../siblings.ts'
import type { ConfigPlace } from './config-file.ts'
import type { ConfigFiles } from './config-snapshot.ts'

/** How a worker begins. */
export type WorkerStart = {
  /** Its number, from 1; the one that takes a dead one's place has the same. */
  readonly worker: number
  readonly place: ConfigPlace
  /** The configuration with which the server began, by which it goes in everything that needs a restart. */
  readonly first: ConfigFiles
  /** The one that was put in force last. */
  readonly latest: ConfigFiles
  readonly address: string
}

export type ToWorker =
  | { readonly kind: 'start'; readonly start: WorkerStart }
  | { readonly kind: 'reload'; readonly files: ConfigFiles }
  | { readonly kind: 'stop' }
  /** Asks for a sign of life. */
  | { readonly kind: 'ping' }
  /** A sibling tells something. */
  | { readonly kind: 'notice'; readonly notice: SiblingNotice }
  /** Asks for the worker's own metrics. */
  | { readonly kind: 'count' }
  /** The metrics of all, as it asked for them. */
  | { readonly kind: 'metrics'; readonly id: number; readonly text: string }

export type FromWorker =
  /** It is there and takes messages. */
  | { readonly kind: 'hello' }
  /** Its event loop turns. */
  | { readonly kind: 'pong' }
  /** It answers at this URL. */
  | { readonly kind: 'ready'; readonly url: string }
  /** For its siblings. */
  | { readonly kind: 'notice'; readonly notice: SiblingNotice }
  /** Asks for the metrics of all; `text` is what it shows itself. */
  | { readonly kind: 'metrics'; readonly id: number; readonly text: string }
  | { readonly kind: 'count'; readonly text: string }
