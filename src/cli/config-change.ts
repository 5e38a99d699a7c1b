/** What a reload changes, in words for the log; and what it cannot change without a restart. */
import type { Config } from '../config/config.ts'

/** Names, and nothing but names. */
export type Changed = {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

/** The sources, and everything else. */
export type ConfigChange = Changed & {
  /** Clients that came, went, or have another key or other rights now. */
  readonly clients: Changed
  readonly compat: boolean
  /** Keys that keep their old value until the next start. */
  readonly needsRestart: readonly string[]
}

export function configChange(before: Config, after: Config): ConfigChange {
  const sources = compare(
    before.sources.map((source) => [source.name, source.generation]),
    after.sources.map((source) => [source.name, source.generation]),
  )
  const clients = compare(
    before.clients.map((client) => [client.name, JSON.stringify(client)]),
    after.clients.map((client) => [client.name, JSON.stringify(client)]),
  )
  return {
    ...sources,
    clients,
    compat: compatText(before) !== compatText(after),
    needsRestart: needsRestart(before, after),
  }
}

/** What is served of `latest` by a process that began with `first`: the keys that need a restart keep their value. */
export function inForce(first: Config, latest: Config): Config {
  const { server, store, encryptionKey, sinks } = first
  return { ...latest, server, store, encryptionKey, sinks }
}

export function isEmptyChange(change: ConfigChange): boolean {
  const isEmpty = ({ added, removed, changed }: Changed): boolean =>
    added.length + removed.length + changed.length === 0
  return isEmpty(change) && isEmpty(change.clients) && !change.compat && change.needsRestart.length === 0
}

type Named = readonly (readonly [string, string])[]

function compare(before: Named, after: Named): Changed {
  const [old, fresh] = [new Map(before), new Map(after)]
  return {
    added: [...fresh.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !fresh.has(name)),
    changed: [...fresh].filter(([name, content]) => old.has(name) && old.get(name) !== content).map(([name]) => name),
  }
}

/** Compared, never shown: it holds a secret. */
function compatText({ compat: { tokenboy, wechatTokenServer } }: Config): string {
  return JSON.stringify([tokenboy, wechatTokenServer?.secret.reveal()])
}

/** Compared, never shown: it holds secrets. */
function sinkTexts({ sinks }: Config): unknown {
  return sinks.map((sink) => (sink.kind === 'webhook' ? { ...sink, secret: sink.secret.reveal() } : sink))
}

function needsRestart(before: Config, after: Config): string[] {
  const key = (config: Config): string => Buffer.from(config.encryptionKey ?? []).toString('hex')
  const fixed: readonly [string, (config: Config) => unknown][] = [
    ['server.listen', (config) => config.server.listen],
    ['server.tls', (config) => config.server.tls],
    ['server.trusted_network', (config) => config.server.trustedNetwork],
    ['server.public_url', (config) => config.server.publicUrl],
    ['server.workers', (config) => config.server.workers],
    ['store', (config) => config.store],
    ['spill', (config) => config.spill],
    ['encryption_key', key],
    ['sinks', sinkTexts],
  ]
  const differs = (part: (config: Config) => unknown): boolean =>
    JSON.stringify(part(before)) !== JSON.stringify(part(after))
  return fixed.filter(([, part]) => differs(part)).map(([name]) => name)
}
