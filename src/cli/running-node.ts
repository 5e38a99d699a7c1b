/**
 * A node that listens, from its start to its end. The order of ending matters: first no new connections, then the keeper
 * lands its attempts, and all of it within ten seconds whatever hangs.
 */
import { openNode, type Node } from '../app.ts'
import type { Env } from '../base/env.ts'
import { realEnv } from '../base/real-env.ts'
import type { Config } from '../config/config.ts'
import { createBus, type Bus } from '../events/bus.ts'
import { logEvents, logFault, type Log } from '../events/log.ts'
import { listen, type Listening, type ReadPem } from '../http/listen.ts'
import type { Siblings } from '../siblings.ts'
import type { Io } from './command.ts'
import { listenFault } from './listen-address.ts'
import { packageVersion } from './package-version.ts'
import { pause } from './pause.ts'

/** Everything has ended by then, in milliseconds: what supervisors wait before they kill is ten seconds and more. */
const stopMsMax = 9_700
/** How long requests under way may finish before the keeper begins to stop, in milliseconds. */
const drainMs = 1_000

export type RunningNode = {
  readonly node: Node
  readonly url: string
  /** Puts a new configuration in force, whole, or throws and changes nothing. */
  readonly apply: (config: Config) => Promise<void>
  readonly stop: () => Promise<void>
}

export type RunOptions = {
  readonly io: Io
  readonly log: Log
  /** In place of the configuration's address. */
  readonly address: string
  /** As one of several processes behind the address. */
  readonly shared?: { readonly siblings: Siblings; readonly readPem: ReadPem }
}

/** Opens a node and listens. */
export async function runNode(config: Config, { io, log, address, shared }: RunOptions): Promise<RunningNode> {
  const env = realEnv()
  const bus = createBus((thrown) => logFault(log, thrown, { where: 'a subscriber' }))
  logEvents(bus, log)
  const siblings = shared === undefined ? {} : { siblings: shared.siblings }
  const node = await openLoggedNode(config, { env, bus, log, io, ...siblings })
  let listening: Listening
  try {
    listening = await listen({
      handler: node.handler,
      listen: address,
      tls: config.server.tls,
      env,
      ...(shared === undefined ? {} : { isShared: true, readPem: shared.readPem }),
    })
  } catch (thrown) {
    await node.stop()
    throw listenFault(address, thrown)
  }
  return {
    node,
    url: listening.url,
    apply: async (next) => {
      // The certificate may have been renewed under the same name; a pair that does not fit stops the reload here.
      await listening.renewTls()
      await node.replaceConfig(next)
    },
    stop: async () => {
      await stopServing(listening, node, log)
      await env.close()
    },
  }
}

export type NodeParts = {
  readonly env: Env
  readonly bus: Bus
  readonly log: Log
  readonly io: Io
  readonly siblings?: Siblings
}

/** A node whose faults and notices go to the log. */
export async function openLoggedNode(config: Config, parts: NodeParts): Promise<Node> {
  const { env, bus, log, io, siblings } = parts
  return await openNode({
    config,
    env,
    bus,
    ...(siblings === undefined ? {} : { siblings }),
    version: packageVersion(),
    onFault: (thrown, where) => logFault(log, thrown, { where }),
    onNotice: (notice) => log[notice.isCalm === true ? 'info' : 'warn'](notice[io.language]),
  })
}

export async function stopServing(listening: Listening, node: Node, log: Log): Promise<void> {
  const late = new AbortController()
  const closed = listening.close()
  const ended = (async () => {
    await Promise.race([closed, pause(drainMs, late.signal)])
    await Promise.all([closed, node.stop()])
    return true
  })()
  const isDone = await Promise.race([ended, pause(stopMsMax, late.signal).then(() => false)])
  late.abort()
  // What did not land is in the store as an open attempt: the next start sees it and asks again.
  if (!isDone) log.warn('stopped with an attempt under way; the next start will look after it')
}
