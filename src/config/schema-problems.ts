/** What zod finds, as problems with a place and a fix in both languages. Keys may be named, values never. */
import { z } from 'zod'
import { problem, type Path, type Problem } from './problem.ts'
import { nearest } from '../base/suggest.ts'

type Issue = z.core.$ZodIssue

/**
 * The issues with those of a union replaced by what is wrong with its fitting shape: the one of the value's own kind.
 */
export function flatIssues(issues: readonly Issue[]): Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union') return [issue]
    const isOfOtherKind = (inner: Issue): boolean => inner.path.length === 0 && inner.code !== 'unrecognized_keys'
    const fitting = issue.errors.find((errors) => !errors.some(isOfOtherKind))
    if (fitting === undefined) return [issue]
    return flatIssues(fitting.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })))
  })
}

/**
 * @param keysAt the keys that the schema knows at a path, for suggestions.
 */
export function schemaProblems(issues: readonly Issue[], keysAt: (path: Path) => readonly string[]): Problem[] {
  return issues.flatMap((issue) => problemsOf(issue, pathOf(issue.path), keysAt))
}

function problemsOf(issue: Issue, path: Path, keysAt: (path: Path) => readonly string[]): Problem[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(key, path, keysAt(path)))
  if (issue.code === 'invalid_type') {
    return [issue.input === undefined ? missing(path) : wrongType(issue.expected, issue.input, path)]
  }
  if (issue.code === 'invalid_value') return [oneOf(issue.values.map(String), path)]
  if (issue.code === 'invalid_union') return [wrongType(kindsOf(issue), issue.input, path)]
  return [problem('value_invalid', { path }, generic(issue))]
}

/** The kinds of value that any shape of a union would take. */
function kindsOf(union: z.core.$ZodIssueInvalidUnion): string[] {
  return union.errors.flatMap((errors) =>
    errors.flatMap((error) => (error.code === 'invalid_type' ? [error.expected] : [])),
  )
}

/** What other programs call the same thing. */
const synonyms: Readonly<Partial<Record<string, readonly string[]>>> = { type: ['kind'] }

function unknownKey(key: string, path: Path, known: readonly string[]): Problem {
  const close = synonyms[key]?.find((one) => known.includes(one)) ?? nearest(key, known)
  const fix =
    close === null
      ? { en: `Known here: ${known.join(', ')}.`, zh: `此处可用的键：${known.join('、')}。` }
      : { en: `Did you mean "${close}"?`, zh: `是否想写 "${close}"？` }
  const message = { en: `There is no key "${key}" here.`, zh: `此处没有名为 "${key}" 的键。` }
  return problem('key_unknown', { path: [...path, key], at: 'key' }, message, known.length === 0 ? null : fix)
}

function missing(path: Path): Problem {
  const key = String(path.at(-1) ?? '')
  const message = { en: `The key "${key}" is missing.`, zh: `缺少键 "${key}"。` }
  return problem('key_missing', { path, at: 'key' }, message, { en: `Add "${key}: …".`, zh: `请补上 "${key}: …"。` })
}

const kinds: Readonly<Record<string, { readonly en: string; readonly zh: string }>> = {
  string: { en: 'a text', zh: '文本' },
  boolean: { en: 'true or false', zh: 'true 或 false' },
  number: { en: 'a number', zh: '数字' },
  int: { en: 'a whole number', zh: '整数' },
  array: { en: 'a list', zh: '列表' },
  object: { en: 'a mapping of keys to values', zh: '键值映射' },
  record: { en: 'a mapping of keys to values', zh: '键值映射' },
  null: { en: 'nothing', zh: '空值' },
}

function wrongType(expected: string | readonly string[], input: unknown, path: Path): Problem {
  const names = typeof expected === 'string' ? [expected] : [...new Set(expected)]
  const wanted = names.map((name) => kinds[name] ?? { en: name, zh: name })
  const given = kinds[kindOf(input)] ?? { en: 'something else', zh: '其他内容' }
  const message = {
    en: `This must be ${wanted.map(({ en }) => en).join(', or ')}; it is ${given.en}.`,
    zh: `此处应为${wanted.map(({ zh }) => zh).join('或')}，实际是${given.zh}。`,
  }
  const isScalar = typeof input === 'number' || typeof input === 'boolean'
  const quote = { en: 'Put quotes around it.', zh: '请加上引号。' }
  return problem('value_type', { path }, message, names.includes('string') && isScalar ? quote : null)
}

function kindOf(input: unknown): string {
  if (input === null) return 'null'
  return Array.isArray(input) ? 'array' : typeof input
}

function oneOf(values: readonly string[], path: Path): Problem {
  const message = { en: `This must be one of: ${values.join(', ')}.`, zh: `只能是以下之一：${values.join('、')}。` }
  return problem('value_invalid', { path }, message)
}

/** Anything rarer keeps zod's own words, which name no values. */
function generic(issue: Issue): { en: string; zh: string } {
  const raw = { ...issue, input: undefined }
  return { en: words(z.locales.en().localeError(raw)), zh: words(z.locales.zhCN().localeError(raw)) }
}

function words(answer: string | { message: string } | null | undefined): string {
  return typeof answer === 'string' ? answer : (answer?.message ?? '')
}

function pathOf(path: readonly PropertyKey[]): Path {
  return path.map((segment) => (typeof segment === 'number' ? segment : String(segment)))
}
