/**
 * The request target, kept as it came and read strictly. The host is the source's and nothing here can name another; what
 * is left to be careful about is the path, which rules are held against, so there must be one way to read it.
 */

export type Target = {
  /** As it came; begins with one slash. */
  readonly path: string
  /** Decoded, for rules. */
  readonly decoded: string
  /** As it came, without the question mark. */
  readonly query: string
}

/** Decoding more often than this finds nothing that an upstream would. */
const roundsMax = 3

/**
 * Null for what an upstream might read as another path than we do: a whole URL, `//`, dot segments however they are encoded,
 * backslashes, control characters, broken escapes.
 */
export function readTarget(target: string): Target | null {
  const at = target.indexOf('?')
  const path = at === -1 ? target : target.slice(0, at)
  if (!path.startsWith('/') || target.includes('#')) return null
  const decoded = decodedPath(path)
  return decoded === null ? null : { path, decoded, query: at === -1 ? '' : target.slice(at + 1) }
}

function decodedPath(path: string): string | null {
  let decoded = path
  for (let round = 0; round < roundsMax && decoded.includes('%'); round += 1) {
    try {
      decoded = decodeURIComponent(decoded)
    } catch {
      // A percent sign that stands for itself comes out of the first round; as it was sent, each must be an escape.
      if (round === 0) return null
      break
    }
  }
  if (/[\u0000-\u001f\u007f\\]/.test(decoded)) return null
  return /\/\/|(?:^|\/)\.{1,2}(?:[/;]|$)/.test(decoded) ? null : decoded
}

/** One parameter of a query: its decoded name and value, and as it was written. */
export type Parameter = { readonly name: string; readonly value: string; readonly written: string }

export function parametersOf(query: string): readonly Parameter[] {
  if (query === '') return []
  return query.split('&').map((written) => {
    const at = written.indexOf('=')
    const name = at === -1 ? written : written.slice(0, at)
    return { name: decodedPart(name), value: at === -1 ? '' : decodedPart(written.slice(at + 1)), written }
  })
}

function decodedPart(text: string): string {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** The query with `token` under `name`, in the place of the first parameter of that name and of all others; the rest as it was. */
export function withToken(query: string, name: string, token: string): string {
  const own = `${name}=${encodeURIComponent(token)}`
  const parts: string[] = []
  let isPut = false
  for (const each of parametersOf(query)) {
    if (each.name !== name) parts.push(each.written)
    else if (!isPut) parts.push(own)
    isPut ||= each.name === name
  }
  return (isPut ? parts : [...parts, own]).join('&')
}
