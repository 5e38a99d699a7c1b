/** A configuration that is read at the start, and again while the server runs: when, and what the log says of it. */
import { dirname, join } from 'node:path'
import { errorTable, ZhongkongError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { Config, ConfigIssue } from '../config/config.ts'
import type { Log, LogFields } from '../events/log.ts'
import type { Io } from './command.ts'
import { configChange, isEmptyChange } from './config-change.ts'
import type { ConfigPlace, readConfig } from './config-file.ts'
import { watchFiles } from './watch-files.ts'

export const stopping = 'stopping: requests under way are finished'

/** What the log says before anything is opened. */
export function logBeginning(config: Config, warnings: readonly ConfigIssue[], { log, io }: Voice): void {
  logIssues(warnings, { log, io })
  if (config.clients.length === 0) log.warn(openReads[io.language])
}

const openReads: Text = {
  en: 'no clients are configured: programs on this machine need no key, and neither does what a proxy or tunnel on it lets in',
  zh: '没有配置 clients：本机程序无需密钥，经本机代理或隧道进来的请求也无需密钥',
}

export type Reloads = { readonly start: (reload: () => Promise<void>) => void; readonly stop: () => void }

/** Reloads one after the other, on SIGHUP and on a change of the file or of the `.env` beside it. */
export async function watchConfig(place: ConfigPlace, io: Io): Promise<Reloads> {
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

export type Reload = {
  /** Reads the configuration anew. */
  readonly read: () => ReturnType<typeof readConfig>
  /** Puts it in force whole, or throws and changes nothing. */
  readonly apply: (config: Config) => Promise<void>
  readonly io: Io
  readonly log: Log
}

/** The configuration that holds from now on: the new one whole, or the old one. Never rejects. */
export async function reload(current: Config, { read, apply, io, log }: Reload): Promise<Config> {
  try {
    const { config, issues } = await read()
    if (config === null) {
      logRefusal(issues, { log, io })
      return current
    }
    logIssues(issues, { log, io })
    const change = configChange(current, config)
    await apply(config)
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

type Voice = Pick<Reload, 'log' | 'io'>

export function logIssues(issues: readonly ConfigIssue[], { log, io }: Voice): void {
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
