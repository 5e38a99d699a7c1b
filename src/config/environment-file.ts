/**
 * The `.env` file: `NAME=VALUE` lines, `#` comments, an optional `export`, single quotes (literal) and double quotes
 * (with `\n`, `\r`, `\t`, `\"`, `\\`; both kinds may span lines). Nothing inside a value is replaced.
 */

export type EnvironmentFile = {
  readonly values: ReadonlyMap<string, string>
  /** Lines (from 1) that are not understood, with the column (from 1). */
  readonly faults: readonly { readonly line: number; readonly column: number }[]
}

const assignment = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*/
const singleQuoted = /^'([^']*)'/
const doubleQuoted = /^"((?:[^"\\]|\\[\s\S])*)"/
const rest = /^[ \t]*(?:#.*)?(?=\r?\n|$)/
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }

/** Reads the text of a `.env` file. The last assignment of a name wins, as in a shell. */
export function parseEnvironmentFile(text: string): EnvironmentFile {
  const values = new Map<string, string>()
  const faults: { line: number; column: number }[] = []
  let line = 1
  let at = 0
  while (at < text.length) {
    const here = text.slice(at)
    const lineEnd = here.indexOf('\n')
    const lineText = lineEnd === -1 ? here : here.slice(0, lineEnd)
    let used = lineText.length
    if (!/^\s*(#|$)/.test(lineText)) {
      const read = readAssignment(here, lineText)
      if ('column' in read) {
        faults.push({ line, column: read.column })
      } else {
        values.set(read.name, read.value)
        used = read.length
      }
    }
    line += 1 + (text.slice(at, at + used).match(/\n/g)?.length ?? 0)
    at += used + 1
    if (text[at - 1] === '\r') at += 1
  }
  return { values, faults }
}

type Assignment = { readonly name: string; readonly value: string; readonly length: number }

function readAssignment(here: string, lineText: string): Assignment | { readonly column: number } {
  const head = assignment.exec(lineText)
  const name = head?.[1]
  if (head === null || name === undefined) return { column: lineText.search(/\S/) + 1 }
  const start = head[0].length
  const body = here.slice(start)
  const quoted = singleQuoted.exec(body) ?? doubleQuoted.exec(body)
  if (quoted !== null) {
    const after = rest.exec(body.slice(quoted[0].length))
    if (after === null) return { column: start + 1 }
    const inner = quoted[1] ?? ''
    const value = quoted[0].startsWith("'")
      ? inner
      : inner.replace(/\\([nrt"\\$])/g, (_, letter: string) => escapes[letter] ?? '')
    return { name, value, length: start + quoted[0].length + after[0].length }
  }
  if (/^['"]/.test(body)) return { column: start + 1 }
  const plain = lineText.slice(start).replace(/\r$/, '')
  return { name, value: plain.replace(/(?:^|[ \t])#.*$/, '').trim(), length: lineText.length }
}

/** A line of a `.env` file that reads back as exactly this value. */
export function environmentLine(name: string, value: string): string {
  if (/^[A-Za-z0-9_./:@%+=,-]*$/.test(value)) return `${name}=${value}`
  if (!/['\r\n]/.test(value)) return `${name}='${value}'`
  const escaped = value
    .replace(/[\\"$]/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
  return `${name}="${escaped}"`
}
