/** A problem as the checks of this room find it: by path, not yet by line. `load-config.ts` turns it into a ConfigIssue. */
import type { Text } from '../base/text.ts'
import type { ConfigIssueCode } from './config.ts'

export type Path = readonly (string | number)[]

/** The character `index` (from 0) of the text value `of`, which may hold what references brought in. */
export type InText = { readonly index: number; readonly of: string }

export type Problem = {
  readonly severity: 'error' | 'warning'
  readonly code: ConfigIssueCode
  readonly path: Path
  /** The key, the value, a character inside the value, or an exact offset into the configuration's text. */
  readonly at: 'key' | 'value' | InText | number
  readonly message: Text
  readonly fix: Text | null
}

export type Where = { readonly path: Path; readonly at?: Problem['at'] }

/** A problem that keeps the program from starting. */
export function problem(code: ConfigIssueCode, where: Where, message: Text, fix: Text | null = null): Problem {
  return { severity: 'error', code, path: where.path, at: where.at ?? 'value', message, fix }
}

/** A problem that is worth a word and no more. */
export function warning(code: ConfigIssueCode, where: Where, message: Text, fix: Text | null = null): Problem {
  return { severity: 'warning', code, path: where.path, at: where.at ?? 'value', message, fix }
}

/** The dotted form of a path, as people write it. */
export function dotted(path: Path): string {
  return path.map(String).join('.')
}
