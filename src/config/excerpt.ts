/**
 * The line that a problem stands in, fit to be shown: a mistyped key may carry a secret, and so may a line that is no
 * valid YAML. So everything is masked that is not known to be harmless, rather than the other way round.
 */

export type Excerpt = { readonly text: string; readonly column: number }

/** Keys whose values may be shown. */
const publicKeys = new Set(
  (
    'provider of type mode listen cert method read refresh gateway admin kind path format sources trusted_network workers ' +
    'grant scope allow max_age refresh_before min_interval daily_limit overlap timeout expires_in expires_at error unit ' +
    'appid corpid agentid client_id grant_type url token_url base_url proxy store reissue forward name sinks'
  ).split(' '),
)

const mask = '***'
const lengthMax = 200

/**
 * @param keyHint the key to which the line's first value belongs when that stands on an earlier line (a list's item).
 */
export function excerptOf(line: string, column: number, keyHint: string | null): Excerpt {
  const parts = maskedParts(line.slice(0, 2_000).replace(/[\r\n]+$/, ''), keyHint)
  let text = ''
  let shownColumn: number | undefined
  for (const part of parts) {
    if (shownColumn === undefined && column - 1 < part.end) {
      const inside = part.shown.length === part.end - part.start ? column - 1 - part.start : 0
      shownColumn = text.length + inside + 1
    }
    text += part.shown
  }
  const end = text.trimEnd()
  return cut(end.replaceAll('\t', ' '), shownColumn ?? end.length + 1)
}

/** A very long line keeps only the surroundings of the caret. */
function cut(text: string, column: number): Excerpt {
  if (text.length <= lengthMax) return { text, column }
  const from = Math.max(0, Math.min(column - lengthMax / 2, text.length - lengthMax))
  const lead = from > 0 ? '…' : ''
  const rest = from + lengthMax < text.length ? '…' : ''
  return { text: lead + text.slice(from, from + lengthMax) + rest, column: column - from + lead.length }
}

type Part = { readonly start: number; readonly end: number; readonly shown: string }

// The braces of a template that somebody forgot to quote are no mapping.
const structure = /^(?:(?:(?!\{\{ ?[\w.:@/-]{1,100} ?\}\})[\s{}[\],])+|[-?](?=\s|$)|---)/
const key = /^("[^"]{0,64}"|'[^']{0,64}'|[^\s"'{}[\],#&*!|>%@`][^\s{}[\],#"']{0,63}?|<<)(\s*:)(?=[\s,}\]]|$)/
const quoted = /^(?:"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?)/
const plainInFlow = /^(?:\{\{ ?[\w.:@/-]{1,100} ?\}\}|(?![,}\]])(?!\s#).)+/
const plainInBlock = /^(?:(?!\s#).)+/
/** A reference to another source: a name is no secret. */
const template = /(\{\{ ?[\w.:@/-]{1,100} ?\}\})/

function maskedParts(line: string, keyHint: string | null): Part[] {
  const parts: Part[] = []
  let at = 0
  let owner = keyHint
  let depth = 0
  const take = (length: number, shown: string): void => {
    parts.push({ start: at, end: at + length, shown })
    at += length
  }
  while (at < line.length) {
    const here = line.slice(at)
    const plain = structure.exec(here)?.[0]
    if (plain !== undefined) {
      depth += (plain.match(/[{[]/g)?.length ?? 0) - (plain.match(/[}\]]/g)?.length ?? 0)
      take(plain.length, plain)
      continue
    }
    // A comment may hold an old secret.
    if (here.startsWith('#')) break
    const named = key.exec(here)
    if (named !== null && !looksRandom(named[1] ?? '')) {
      owner = (named[1] ?? '').replace(/^["']|["']$/g, '')
      take(named[0].length, named[0])
      continue
    }
    const value = (quoted.exec(here) ?? (depth > 0 ? plainInFlow : plainInBlock).exec(here))?.[0] ?? here
    const end = value.trimEnd().length
    for (const [text, shown] of shownParts(value.slice(0, end), owner)) take(text.length, shown)
    if (end < value.length) take(value.length - end, value.slice(end))
  }
  return parts
}

/** A value that may not be shown as it is still shows the sources that it refers to, as it is these that go wrong. */
function shownParts(value: string, owner: string | null): readonly (readonly [string, string])[] {
  const whole = shownValue(value, owner)
  if (whole.length === value.length || !template.test(value)) return [[value, whole]]
  return value.split(template).flatMap((piece, index): [string, string][] => {
    if (index % 2 === 1) return [[piece, looksRandom(piece) ? mask : piece]]
    const [, open = '', inner = '', close = ''] = /^(["']?)([^]*?)(["']?)$/.exec(piece) ?? []
    return [
      [open, open],
      [inner, inner === '' ? '' : mask],
      [close, close],
    ]
  })
}

function shownValue(value: string, owner: string | null): string {
  const bare = value.replace(/^["']|["']$/g, '')
  if (/^(true|false|null|~|-?\d{1,6}|[|>][+-]?|[&*!][\w-]{1,32})$/.test(bare)) return value
  if (/^\$\{[A-Za-z_][A-Za-z0-9_]*\}?$/.test(bare) || /^file:[^\s?&=]*$/.test(bare)) return value
  if (/^\{\{ ?[\w.:@/-]{1,100} ?\}\}$/.test(bare) && !looksRandom(bare)) return value
  const defaulted = /^(["']?\$\{[A-Za-z_][A-Za-z0-9_]*:-)[^}]*(\}?["']?)$/.exec(value)
  if (defaulted !== null) return `${defaulted[1] ?? ''}${mask}${defaulted[2] ?? ''}`
  const isPublic = owner !== null && publicKeys.has(owner) && !looksRandom(bare)
  // The last @: a password may hold others, and a question mark too.
  return isPublic ? value.replace(/\/\/.*@/, `//${mask}@`).replace(/\?.*/, `?${mask}`) : mask
}

/** A long run of letters and digits is no word: secrets look like this. */
function looksRandom(text: string): boolean {
  return (
    /[A-Za-z0-9+=_-]{25,}/.test(text) ||
    (/[A-Za-z0-9]{16,}/.test(text) &&
      /\d/.test(text) &&
      !text.includes('.') &&
      !text.startsWith('wx') &&
      !text.startsWith('ww'))
  )
}
