/**
 * What an answer says about the token, the limits and our address. Only small JSON can say anything; all else goes on
 * untouched and unread.
 */
import type { Readable } from 'node:stream'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import type { Clock, Passed } from '../../base/env.ts'
import { isJsonObject } from '../../base/json.ts'
import { addressIn } from '../../base/seen-address.ts'
import type { Semantics } from '../../model/semantics.ts'
import { headerOf, valuesOf } from './headers.ts'

/** A refusal is never longer, in bytes as sent; decoded it may be some times that. */
const bytesMax = 16_384
const decodedBytesMax = 131_072
/** A body that takes longer after its first bytes is passed on as it comes, in milliseconds. */
const waitMsMax = 1_000

export type Said = {
  /** The token was refused: nothing was carried out. */
  readonly refusesToken: boolean
  /** The platform's code for too many calls. */
  readonly limit: string | null
  /** The address that the platform refuses to serve. */
  readonly address: string | null
}

const nothing: Said = { refusesToken: false, limit: null, address: null }

/** What was read of a body: all of it, or nothing, and then it can be read from its beginning. */
export type Looked = { readonly whole: Buffer | null; readonly said: Said }

export async function lookAt(passed: Passed, semantics: Semantics, clock: Clock): Promise<Looked> {
  const { status, headers } = passed
  // RFC 6750: the token may be refused in a header alone.
  const challenges = valuesOf(headers, 'www-authenticate').flatMap((each) => /\berror="?(\w+)/.exec(each)?.[1] ?? [])
  const whole = hasNone(status) ? noneOf(passed) : mayRefuse(status, headers) ? await readSmall(passed, clock) : null
  const value = whole === null ? null : valueOf(whole, headerOf(headers, 'content-encoding'))
  const codes = [...challenges, ...codesOf(value), ...(status >= 400 ? [String(status)] : [])]
  if (codes.length === 0) return { whole, said: nothing }
  return { whole, said: saidBy(codes, value, semantics) }
}

function saidBy(codes: readonly string[], value: unknown, semantics: Semantics): Said {
  const { invalidTokenCodes, limitCodes = [], addressCodes = [] } = semantics
  const isAddress = codes.some((code) => isAmong(code, addressCodes))
  return {
    refusesToken: codes.some((code) => isAmong(code, invalidTokenCodes)),
    // As we know it, which bounds how many of them metrics can hold.
    limit: String(limitCodes.find((known) => codes.some((code) => isAmong(code, [known]))) ?? '') || null,
    address: isAddress && isJsonObject(value) ? addressOf(value) : null,
  }
}

/** Words stand for all that begin with them, such as `Forbidden.AccessDenied.QpsLimit`; numbers for themselves. */
function isAmong(code: string, known: readonly (string | number)[]): boolean {
  return known.some(
    (each) => String(each) === code || (typeof each === 'string' && each.includes('.') && code.startsWith(each)),
  )
}

function addressOf(value: Readonly<Record<string, unknown>>): string | null {
  const texts = [value.errmsg, value.sub_msg, value.message, value.msg]
  const found = texts.map((text) => (typeof text === 'string' ? addressIn(text.slice(0, 1_000)) : null))
  return found.find((address) => address !== null) ?? null
}

/** Answers that have no body, whatever their Content-Length says: that of a 304 is of what it stands for. */
function hasNone(status: number): boolean {
  return status === 204 || status === 304
}

/** A body that is not there cannot break off: the dispatcher takes it for one that did, by its length. */
function noneOf({ body }: Passed): Buffer {
  body.resume()
  return Buffer.alloc(0)
}

function mayRefuse(status: number, headers: readonly string[]): boolean {
  if (status === 206) return false
  const type = headerOf(headers, 'content-type') ?? ''
  const length = headerOf(headers, 'content-length')
  // WeChat says its errors as text/plain, too.
  return (type === '' || /json|^text\/plain/i.test(type)) && (length === null || Number(length) <= bytesMax)
}

function isPlain(headers: readonly string[]): boolean {
  return /^(?:identity)?$/i.test(headerOf(headers, 'content-encoding') ?? '')
}

/** The whole body if it is small, comes soon and may be JSON; otherwise null, and what was read is put back. */
async function readSmall({ headers, body }: Passed, clock: Clock): Promise<Buffer | null> {
  const told = headerOf(headers, 'content-length')
  const length = told === null ? null : Number(told)
  const isReadable = isPlain(headers)
  const chunks: Buffer[] = []
  let size = 0
  // Nothing is held back before the first bytes, so until then there is no hurry.
  let endsAt: number | null = null
  const giveBack = (): null => {
    if (size > 0) body.unshift(Buffer.concat(chunks, size))
    return null
  }
  for (;;) {
    const chunk = body.read() as Buffer | null
    if (chunk === null) {
      if (body.readableEnded) return Buffer.concat(chunks, size)
      if (body.destroyed) throw body.errored ?? new Error('the body was destroyed')
      const leftMs = endsAt === null ? null : endsAt - clock.monotonic()
      if (leftMs !== null && leftMs <= 0) return giveBack()
      await moved(body, clock, leftMs)
      continue
    }
    chunks.push(chunk)
    size += chunk.length
    if (size === length) {
      body.resume()
      return Buffer.concat(chunks, size)
    }
    endsAt ??= clock.monotonic() + waitMsMax
    const mayBeJson = !isReadable || /^(?:\xef\xbb\xbf)?\s*(?:[[{]|$)/.test(chunks[0]?.toString('latin1', 0, 64) ?? '')
    if (size > bytesMax || !mayBeJson) return giveBack()
  }
}

/** Resolves when there is more to read, nothing more, or the time is over; null is no limit but that of the connection. */
async function moved(body: Readable, clock: Clock, leftMs: number | null): Promise<void> {
  const stop = leftMs === null ? null : new AbortController()
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of moves) body.off(event, done)
      stop?.abort('moved')
      resolve()
    }
    for (const event of moves) body.on(event, done)
    if (leftMs !== null) void clock.sleep(leftMs, stop?.signal).then(done)
  })
}

const moves = ['readable', 'end', 'error', 'close'] as const

function valueOf(bytes: Buffer, coding: string | null): unknown {
  try {
    return JSON.parse(
      decoded(bytes, coding)
        .toString('utf8')
        .replace(/^\ufeff/, ''),
    )
  } catch {
    // Whatever it is, it is no refusal that we know.
    return null
  }
}

function decoded(bytes: Buffer, coding: string | null): Buffer {
  const options = { maxOutputLength: decodedBytesMax }
  switch (coding?.trim().toLowerCase() ?? '') {
    case '':
    case 'identity':
      return bytes
    case 'gzip':
    case 'x-gzip':
      return gunzipSync(bytes, options)
    case 'deflate':
      return inflateSync(bytes, options)
    case 'br':
      return brotliDecompressSync(bytes, options)
    default:
      return Buffer.alloc(0)
  }
}

/** Where the platforms put their codes; Salesforce answers with a list. */
function codesOf(value: unknown): string[] {
  const one: unknown = Array.isArray(value) ? value[0] : value
  if (!isJsonObject(one)) return []
  const { error, data, extra } = one
  const nested = [error, data, extra].flatMap((each) =>
    isJsonObject(each) ? [each.code, each.status, each.error_code] : [],
  )
  const { errcode, sub_code, code, error_code, errorCode, err_no, result } = one
  // Where the platform's own code says that all is well, whatever else is called a code is content: a coupon's, say.
  const own = [errcode, err_no, error_code, errorCode, code, result].find((each) => each !== undefined)
  if (own === 0 || own === '0') return []
  return [errcode, sub_code, code, error_code, errorCode, err_no, result, error, ...nested].flatMap((each) =>
    (typeof each === 'number' || typeof each === 'string') && each !== 0 && each !== '' ? [String(each)] : [],
  )
}
