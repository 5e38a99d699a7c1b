/**
 * A server's life: open, listen, say so, reload when told, drain and end. The order of ending matters: first no new
 * connections, then the keeper lands its attempts, and all of it within ten seconds whatever hangs.
 */
import { dirname, join } from 'node:path'
import { openNode, type Node } from '../app.ts'
import type { Env } from '../base/env.ts'
import { errorTable, ZhongkongError } from '../base/errors.ts'
import { realClock, realEnv } from '../base/real-env.ts'
import type { Text } from '../base/text.ts'
import type { Config, ConfigIssue } from '../config/config.ts'
import { createBus, type Bus } from '../events/bus.ts'
import { createLog, logEvents, logFault, type Log, type LogFields } from '../events/log.ts'
import { listen, type Listening } from '../http/listen.ts'
import type { Io } from './command.ts'
import { configChange, isEmptyChange } from './config-change.ts'
import { readConfig, type ConfigPlace } from './config-file.ts'
import { CliFault } from './fault.ts'
import { packageVersion } from './package-version.ts'
import { pause } from './pause.ts'
import { watchFiles } from './watch-files.ts'

export type Serving = {
  readonly config: Config
  /** Where the configuration is read again; null: never. */
  readonly place: ConfigPlace | null
  readonly io: Io
  /** What was found in the configuration and is no error; goes to the log. */
  readonly warnings: readonly ConfigIssue[]
  /** Instead of the configuration's port. */
  readonly port?: number
}

/** Everything has ended by then, in milliseconds: what supervisors wait before they kill is ten seconds and more. */
const stopMsMax = 9_700
/** How long requests under way may finish before the keeper begins to stop, in milliseconds. */
const drainMs = 1_000

/** Runs until `io.signal` aborts; answers the exit code. */
export async function serve({ config, place, io, warnings, port }: Serving): Promise<number> {
  const env = realEnv()
  const log = stderrLog(io)
  logIssues(warnings, { log, io })
  if (config.clients.length === 0) log.warn(openReads[io.language])
  // Watching begins before the keeper opens: a change meanwhile is seen.
  const reloads = place === null ? null : await watchConfig(place, io)
  const bus = createBus((thrown) => logFault(log, thrown, { where: 'a subscriber' }))
  logEvents(bus, log)
  const node = await openLoggedNode(config, { env, bus, log, io })
  let listening: Listening
  try {
    listening = await listen({
      handler: node.handler,
      listen: withPort(config.server.listen, port),
      tls: config.server.tls,
      env,
    })
  } catch (thrown) {
    await node.stop()
    throw listenFault(config.server.listen, thrown)
  }
  io.out(`zhongkong ready on ${listening.url}`)
  if (place !== null && reloads !== null) {
    const house = { node, listening, place, io, log }
    let current = config
    reloads.start(async () => {
      current = await reload(current, house)
    })
  }
  await aborted(io.signal)
  reloads?.stop()
  log.info('stopping: requests under way are finished')
  await stopServing(listening, node, log)
  await env.close()
  return 0
}

export type NodeParts = { readonly env: Env; readonly bus: Bus; readonly log: Log; readonly io: Io }

/** A node whose faults and notices go to the log. */
export async function openLoggedNode(config: Config, { env, bus, log, io }: NodeParts): Promise<Node> {
  return await openNode({
    config,
    env,
    bus,
    version: packageVersion(),
    onFault: (thrown, where) => logFault(log, thrown, { where }),
    onNotice: (notice) => log[notice.isCalm === true ? 'info' : 'warn'](notice[io.language]),
  })
}

/** The log of commands that serve: on stderr, because stdout belongs to what programs read. */
export function stderrLog(io: Io): Log {
  const destination = { write: (line: string): void => io.err(line.trimEnd()) }
  const isTerminal = process.stderr.isTTY
  const said = io.environment.ZHONGKONG_LOG
  const level = said === 'debug' || said === 'warn' || said === 'error' || said === 'silent' ? said : 'info'
  return createLog({ level, env: { clock: realClock }, destination, isTerminal })
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

type Reloads = { readonly start: (reload: () => Promise<void>) => void; readonly stop: () => void }

/** Reloads one after the other, on SIGHUP and on a change of the file or of the `.env` beside it. */
async function watchConfig(place: ConfigPlace, io: Io): Promise<Reloads> {
  let wanted = 0
  let work: (() => Promise<void>) | null = null
  let running: Promise<void> | null = null
  const runAll = async (perform: () => Promise<void>): Promise<void> => {
    while (wanted > 0) {
      wanted = 0
      await perform()
    }
    running = null
  }
  const ask = (): void => {
    wanted += 1
    if (work !== null) running ??= runAll(work)
  }
  const paths = [place.path, join(dirname(place.path), '.env')]
  const files = await watchFiles({ paths, onChange: ask })
  const stopHangup = io.onHangup(ask)
  return {
    start: (perform) => {
      work = perform
      if (wanted > 0) ask()
    },
    stop: () => {
      wanted = 0
      work = null
      files.stop()
      stopHangup()
    },
  }
}

type House = {
  readonly node: Node
  readonly listening: Listening
  readonly place: ConfigPlace
  readonly io: Io
  readonly log: Log
}

/** The configuration that holds from now on: the new one whole, or the old one. Never rejects. */
async function reload(current: Config, { node, listening, place, io, log }: House): Promise<Config> {
  try {
    const { config, issues } = await readConfig(place, io)
    if (config === null) {
      logRefusal(issues, { log, io })
      return current
    }
    logIssues(issues, { log, io })
    const change = configChange(current, config)
    // The certificate may have been renewed under the same name; a pair that does not fit stops the reload here.
    await listening.renewTls()
    await node.replaceConfig(config)
    const { needsRestart, ...parts } = change
    log.info(
      isEmptyChange(change) ? 'the configuration was reloaded; nothing changed' : 'the configuration was reloaded',
      parts,
    )
    if (needsRestart.length > 0) log.warn('these keys change with the next start only', { keys: needsRestart })
    return config
  } catch (thrown) {
    if (!(thrown instanceof ZhongkongError)) log.error(notReloaded, { error: thrown })
    else
      log.error(notReloaded, {
        problem: thrown.message,
        fix: (thrown.hint ?? errorTable[thrown.code].text)[io.language],
      })
    return current
  }
}

const notReloaded = 'the configuration was not reloaded; the old one stays in force'
const openReads: Text = {
  en: 'no clients are configured: programs on this machine need no key, and neither does what a proxy or tunnel on it lets in',
  zh: '没有配置 clients：本机程序无需密钥，经本机代理或隧道进来的请求也无需密钥',
}

/** A single fault takes one line; several take one each, and one that says what follows from them. */
function logRefusal(issues: readonly ConfigIssue[], { log, io }: Voice): void {
  const errors = issues.filter(({ severity }) => severity === 'error')
  const [only, another] = errors
  if (only !== undefined && another === undefined) {
    log.error(notReloaded, { problem: only.message[io.language], ...placeFields(only, io) })
    return
  }
  logIssues(errors, { log, io })
  log.error(notReloaded, { errors: errors.length })
}

type Voice = Pick<House, 'log' | 'io'>

function logIssues(issues: readonly ConfigIssue[], { log, io }: Voice): void {
  for (const issue of issues) {
    log[issue.severity === 'error' ? 'error' : 'warn'](issue.message[io.language], placeFields(issue, io))
  }
}

function placeFields({ file, line, column, path, fix }: ConfigIssue, io: Io): LogFields {
  return {
    at: `${file}:${line}:${column}`,
    ...(path === '' ? {} : { key: path }),
    ...(fix === null ? {} : { fix: fix[io.language] }),
  }
}

function withPort(where: string, port: number | undefined): string {
  return port === undefined || where.startsWith('unix:') ? where : where.replace(/:\d+$/, `:${port}`)
}

/** What to do when the address cannot be had. */
export function listenFault(where: string, thrown: unknown): unknown {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : null
  if (code === 'EADDRINUSE') {
    return new CliFault(
      1,
      { en: `${where} is in use by another program`, zh: `${where} 已被其他程序占用` },
      { en: 'Choose another port: --listen 127.0.0.1:9000', zh: '请换一个端口：--listen 127.0.0.1:9000' },
      thrown,
    )
  }
  if (code === 'EACCES') {
    return new CliFault(
      1,
      { en: `this user may not listen on ${where}`, zh: `当前用户无权监听 ${where}` },
      { en: 'Choose a port above 1023.', zh: '请选择 1023 以上的端口。' },
      thrown,
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new CliFault(
      1,
      { en: `${where} is no address of this machine`, zh: `${where} 不是本机的地址` },
      { en: 'Check server.listen.', zh: '请检查 server.listen。' },
      thrown,
    )
  }
  return thrown
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
