/** Errors as RFC 9457 problem details, and the language in which people read them. */
import { STATUS_CODES } from 'node:http'
import { errorTable, type ZhongkongError } from '../base/errors.ts'
import { scrub } from '../base/secret.ts'
import type { Language } from '../base/text.ts'
import type { Problem } from '../wire/problem.ts'
import { problemType, type TextAnswer } from './answer.ts'

/** Seconds to wait when the error itself does not say. */
const retryAfterSecondsDefault = 5

/** The first of our two languages that an `Accept-Language` header prefers; English without one. */
export function languageOf(acceptLanguage: string | null | undefined): Language {
  if (acceptLanguage === null || acceptLanguage === undefined) return 'en'
  let best: { readonly language: Language; readonly weight: number } = { language: 'en', weight: 0 }
  for (const part of acceptLanguage.slice(0, 256).split(',')) {
    const match = /^\s*(en|zh)\b[^;]*(?:;\s*q=([\d.]+))?\s*$/i.exec(part)
    if (match === null) continue
    const weight = match[2] === undefined ? 1 : Number(match[2])
    if (weight > best.weight) best = { language: match[1]?.toLowerCase() === 'zh' ? 'zh' : 'en', weight }
  }
  return best.language
}

/**
 * The problem as an answer. What broke inside us is never told: the log has it under the request's id. What a caller may
 * not see and what is not there look alike, whatever words the error was thrown with.
 */
export function problem(error: ZhongkongError, language: Language): TextAnswer {
  const { status } = errorTable[error.code]
  const headers: string[] = []
  if (status === 503 || status === 429) {
    const seconds = Math.max(1, Math.ceil(error.retryAfterSeconds ?? retryAfterSecondsDefault))
    headers.push('Retry-After', String(seconds))
  }
  if (status === 401) headers.push('WWW-Authenticate', 'Bearer realm="zhongkong"')
  return { status, type: problemType, body: JSON.stringify(problemOf(error, language)), headers }
}

/** What a caller is told of an error, in any form. */
export function problemOf(error: ZhongkongError, language: Language): Problem {
  const row = errorTable[error.code]
  const isOurs = error.code === 'internal' || error.owner === 'config'
  // Paths and words of the machine's own store are for its operator, who has them in the log.
  const isStore = error.code.startsWith('store_') || error.code === 'seal_broken'
  const isPlain = isOurs || isStore || error.code === 'not_found'
  const plainDetail = isStore ? 'the store failed' : isOurs ? 'the request failed inside the server' : 'not found'
  return {
    type: 'about:blank',
    title: STATUS_CODES[row.status] ?? 'Error',
    status: row.status,
    code: error.code,
    detail: isPlain ? plainDetail : scrub(error.message),
    hint: (isPlain ? row.text : (error.hint ?? row.text))[language],
    ...(error.upstream === undefined || isPlain ? {} : { upstream: error.upstream }),
  }
}
