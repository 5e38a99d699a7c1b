/** Problems as issues: with file, line and column, and an excerpt that may be shown. */
import type { ConfigIssue } from './config.ts'
import type { ConfigDocument } from './document.ts'
import { excerptOf } from './excerpt.ts'
import { dotted, type Problem } from './problem.ts'

/** Values of the command line that win over the file. */
export type Overrides = { readonly listen?: string; readonly store?: string }

export type Told = {
  readonly file: string
  readonly text: string
  readonly document: ConfigDocument | null
  readonly overrides: Overrides
}

export function issueOfProblem(found: Problem, { file, text, document, overrides }: Told): ConfigIssue {
  const { severity, code, path, at, message, fix } = found
  const issue = { severity, code, path: dotted(path), message, fix }
  const said = overrideAt(dotted(path), overrides)
  if (said !== null) {
    return { ...issue, file: said.flag, line: 1, column: 1, excerpt: excerptOf(said.value, 1, said.key) }
  }
  if (document === null) return { ...issue, file, line: 1, column: 1, excerpt: null }
  const offset = typeof at === 'number' ? at : document.offset(path, at)
  const { line, column } = document.lineAndColumn(offset)
  const key = path.findLast((segment) => typeof segment === 'string')
  const keyHint = typeof key === 'string' ? key : null
  const start = offset - (column - 1)
  const end = text.indexOf('\n', start)
  const lineText = text.slice(start, end === -1 ? undefined : end)
  const excerpt = excerptOf(lineText, column, keyHint)
  // An empty line, or one that holds a comment only, shows nothing.
  return { ...issue, file, line, column, excerpt: excerpt.text === '' ? null : excerpt }
}

function overrideAt(path: string, overrides: Overrides): { flag: string; key: string; value: string } | null {
  if (path === 'server.listen' && overrides.listen !== undefined) {
    return { flag: '--listen', key: 'listen', value: overrides.listen }
  }
  if (path === 'store' && overrides.store !== undefined)
    return { flag: '--store', key: 'store', value: overrides.store }
  return null
}
