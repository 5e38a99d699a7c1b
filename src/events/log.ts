/**
 * The log: JSON lines, or a few readable fields on a terminal. Every text is scrubbed on its way out, so that a secret that
 * slipped into a message still does not reach a file.
 */
import { pino, type DestinationStream, type Level } from 'pino'
import type { Env } from '../base/env.ts'
import { asZhongkongError, ZhongkongError } from '../base/errors.ts'
import { Secret, scrub } from '../base/secret.ts'
import type { EventType, ZhongkongEvent } from '../model/event.ts'
import type { Bus } from './bus.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export type LogFields = Readonly<Record<string, unknown>>

export type Log = {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export type LogOptions = {
  readonly level: LogLevel
  readonly env: Pick<Env, 'clock'>
  /** Where lines go, each with its line end; stdout by default. */
  readonly destination?: DestinationStream
  /** Stand on every line. */
  readonly base?: LogFields
  /** Readable lines instead of JSON. */
  readonly isTerminal?: boolean
  /** Values that must never be seen, beside what looks like a secret; asked for each line. */
  readonly secrets?: () => readonly string[]
}

/** Texts longer than this are cut, in characters. */
const textLengthMax = 2_000
/** Deeper than this nothing is shown. */
const depthMax = 4

export function createLog(options: LogOptions): Log {
  const { level, env, destination, base = null, isTerminal = false, secrets = () => [] } = options
  const out = destination ?? pino.destination(1)
  const logger = pino(
    {
      level,
      base,
      timestamp: () => `,"time":"${new Date(env.clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    isTerminal ? { write: (line) => out.write(readable(line)) } : out,
  )
  const write =
    (at: Level) =>
    (message: string, fields: LogFields = {}) => {
      if (!logger.isLevelEnabled(at)) return
      const hidden = secrets()
      logger[at](clean(fields, hidden, 0), scrub(message, hidden, textLengthMax))
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** A copy that holds only plain, scrubbed values. Errors become what people may know of them. */
function clean(value: unknown, secrets: readonly string[], depth: number): unknown {
  if (typeof value === 'string') return scrub(value, secrets, textLengthMax)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Error) return clean(errorFields(value), secrets, depth)
  if (typeof value !== 'object') return undefined
  if (depth >= depthMax) return '…'
  if (Array.isArray(value)) return value.slice(0, 100).map((inner) => clean(inner, secrets, depth + 1))
  if (value instanceof Secret) return value.toString()
  const pairs = Object.entries(value).map(([key, inner]) => [
    scrub(key, secrets, 100),
    secretKey.test(key) ? '[secret]' : clean(inner, secrets, depth + 1),
  ])
  return Object.fromEntries(pairs)
}

/** Fields of these names are never shown, whatever they hold. */
const secretKey = /^(?:[a-z_]*secret|[a-z_]*token|ticket|password|authorization|assertion|api_?key)$/i

/** Name, code, message, a short stack and the causes of an error. A cause's own message may quote what it was given. */
function errorFields(error: Error): LogFields {
  const stack = error.stack
    ?.split('\n')
    .slice(1, 6)
    .map((line) => line.trim())
  return {
    name: error.name,
    ...(error instanceof ZhongkongError ? { code: error.code } : {}),
    message: error.message,
    ...(stack === undefined ? {} : { stack }),
    ...(error.cause instanceof Error ? { cause: errorFields(error.cause) } : {}),
  }
}

function readable(line: string): string {
  const { time, level, msg, ...rest } = parsed(line)
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return `${[String(time).slice(11, 19), String(level).toUpperCase().padEnd(5), String(msg), ...fields].join(' ')}\n`
}

function parsed(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

const levels: Readonly<Record<EventType, keyof Log>> = {
  rotated: 'info',
  repeated: 'debug',
  attempted: 'debug',
  failing: 'warn',
  recovered: 'info',
  reported: 'info',
  strayed: 'warn',
  probed: 'info',
  'false-reports': 'warn',
  conflict: 'warn',
  'conflict-over': 'info',
  expired: 'error',
  uncommitted: 'error',
  'grant-at-risk': 'error',
  authorized: 'info',
  revoked: 'warn',
  'push-late': 'warn',
  'push-asked': 'info',
  added: 'info',
  changed: 'info',
  removed: 'info',
  'store-lost': 'error',
  'store-back': 'info',
  'callback-refused': 'warn',
  'forward-failed': 'warn',
  'sink-failing': 'warn',
  'sink-recovered': 'info',
  'sink-dropped': 'warn',
}

/** Writes a line for each event; the answer stops that. */
export function logEvents(bus: Bus, log: Log): () => void {
  return bus.on((event) => {
    log[levels[event.type]](sentenceOf(event), fieldsOf(event))
  })
}

function fieldsOf(event: ZhongkongEvent): LogFields {
  const told = Object.entries(event).filter(([key]) => !['type', 'at', 'name', 'failure'].includes(key))
  return {
    event: event.type,
    ...('name' in event ? { source: event.name } : {}),
    ...Object.fromEntries(told),
    ...('failure' in event && event.failure !== null
      ? { failure: { ...event.failure, hint: event.failure.hint?.en } }
      : {}),
  }
}

function sentenceOf(event: ZhongkongEvent): string {
  switch (event.type) {
    case 'rotated':
      return `${event.name} has a new token, version ${event.version}`
    case 'repeated':
      return `${event.name}: the upstream gave the same token again`
    case 'attempted':
      return `${event.name}: asked the upstream: ${event.outcome}`
    case 'failing':
      return `${event.name}: failing: ${event.failure.message}`
    case 'recovered':
      return `${event.name}: recovered after ${event.failures} failures`
    case 'reported':
      return `${event.name}: version ${event.version} was reported as refused by the upstream`
    case 'strayed':
      return `${event.name}: an answer arrived after its lease was lost`
    case 'probed':
      return `${event.name}: version ${event.version} was said to be dead; the platform says: ${event.said}`
    case 'false-reports':
      return `${event.name}: ${event.client === null ? 'a caller without a key' : `client ${event.client}`} reports living tokens as dead; look at what it does with them`
    case 'conflict':
      return `${event.name}: tokens die early though nobody here replaces them: somebody else fetches for this account`
    case 'conflict-over':
      return `${event.name}: no token has died early for a day: nobody else fetches for this account any more`
    case 'expired':
      return `${event.name}: the token ended before a new one could be had`
    case 'uncommitted':
      return `${event.name}: a token was issued but the store could not be written; it is served, and written as soon as possible`
    case 'grant-at-risk':
      return `${event.name}: what cannot be asked for again is in this process's memory only: neither the store nor the spill folder can be written; do not stop it`
    case 'authorized':
      return `${event.name}: authorised`
    case 'revoked':
      return `${event.name}: the platform withdrew its authorisation; it must be authorised anew`
    case 'push-late':
      return `${event.name}: the platform has pushed nothing for ${Math.round(event.lateMs / 60_000)} min; see that its callback arrives here`
    case 'push-asked':
      return event.failure === null
        ? `${event.name}: asked the platform to push again`
        : `${event.name}: the platform could not be asked to push again: ${event.failure.message}`
    case 'added':
    case 'changed':
    case 'removed':
      return `${event.name}: source ${event.type}`
    case 'store-lost':
      return `the store fails: ${event.message}`
    case 'store-back':
      return `the store works again after ${Math.round(event.awayMs / 1_000)} s`
    case 'callback-refused':
      return `${event.name}: a callback was refused: ${event.reason}`
    case 'forward-failed':
      return `${event.name}: a message was not taken by ${event.to}: ${event.outcome}`
    case 'sink-failing':
      return `sink ${event.sink}: ${event.source} could not be delivered and is tried again: ${event.message}`
    case 'sink-recovered':
      return `sink ${event.sink}: works again after ${Math.round(event.failedMs / 1_000)} s`
    case 'sink-dropped':
      return `sink ${event.sink}: ${event.source} was not delivered (${event.reason}): ${event.message}`
  }
}

/** What to do with a fault that nobody was told about: a line with its code. */
export function logFault(log: Log, thrown: unknown, fields: LogFields = {}): void {
  log.error('something broke inside', { ...fields, error: thrown instanceof Error ? thrown : asZhongkongError(thrown) })
}
