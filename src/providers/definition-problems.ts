/** What zod finds wrong with a definition, told in both languages as people would tell it. */
import type { z } from 'zod'
import { isJsonObject, type Json } from '../base/json.ts'
import { nearest } from '../base/suggest.ts'
import type { Text } from '../base/text.ts'
import type { DefinitionIssue } from '../model/definition.ts'
import { readPath } from './json-pointer.ts'

type ZodIssue = z.core.$ZodIssue
type Path = readonly (string | number)[]

const words: Readonly<Record<string, Text>> = {
  string: { en: 'a text', zh: '文本' },
  number: { en: 'a number', zh: '数字' },
  int: { en: 'a whole number', zh: '整数' },
  boolean: { en: 'true or false', zh: 'true 或 false' },
  array: { en: 'a list', zh: '列表' },
  object: { en: 'a mapping', zh: '键值对' },
  record: { en: 'a mapping', zh: '键值对' },
}

/** Problems of a definition. `known` are the keys that may stand at its top. */
export function definitionIssues(
  issues: readonly ZodIssue[],
  definition: Json,
  known: readonly string[],
): readonly DefinitionIssue[] {
  return issues.flatMap((issue) => told(issue, definition, known, []))
}

function told(issue: ZodIssue, definition: Json, known: readonly string[], above: Path): readonly DefinitionIssue[] {
  const path = [...above, ...issue.path.map((each) => (typeof each === 'number' ? each : String(each)))]
  if (issue.code === 'unrecognized_keys') {
    const isInside = issue.path.length > 0 && path.length > 1
    return issue.keys.map((key) => unknownKey(key, path, isInside ? [] : known))
  }
  if (issue.code === 'invalid_union') {
    const isThere = readPath(definition, path.map(String)) !== undefined
    return isThere ? unionIssues(issue, definition, path) : [{ path, ...missing(path) }]
  }
  if (issue.code === 'invalid_key')
    return issue.issues.flatMap((inner) => told({ ...inner, path: [] }, definition, [], path))
  return [{ path, ...sentence(issue, definition, path) }]
}

/** An unknown key, with the one that was probably meant. */
export function unknownKey(key: string, path: Path, known: readonly string[]): DefinitionIssue {
  const near = nearest(key.replaceAll('-', '_'), known)
  return {
    path: [...path, key],
    message: { en: `There is no key "${key}".`, zh: `没有名为 "${key}" 的配置项。` },
    fix: near === null ? null : { en: `Did you mean "${near}"?`, zh: `是否想写 "${near}"？` },
  }
}

/** The branch that came furthest says most: one that failed deeper inside, or with a text of ours. */
function unionIssues(issue: z.core.$ZodIssueInvalidUnion, definition: Json, path: Path): readonly DefinitionIssue[] {
  const isOurs = (branch: readonly ZodIssue[]): boolean =>
    branch.every(({ code, path: inner }) => code === 'custom' || code === 'unrecognized_keys' || inner.length > 0)
  const best = issue.errors.find((branch) => branch.length > 0 && isOurs(branch))
  if (best !== undefined) return best.flatMap((inner) => told(inner, definition, [], path))
  const kinds = issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_type' ? [wordOf(inner.expected)] : []))
  if (kinds.length === 0)
    return issue.errors
      .flat()
      .slice(0, 1)
      .flatMap((inner) => told(inner, definition, [], path))
  const either = (language: 'en' | 'zh', or: string): string =>
    [...new Set(kinds.map((each) => each[language]))].join(or)
  const message = { en: `It must be ${either('en', ' or ')}.`, zh: `必须是${either('zh', '、')}中的一种。` }
  return [{ path, message, fix: null }]
}

function wordOf(expected: string): Text {
  return (Object.hasOwn(words, expected) ? words[expected] : undefined) ?? { en: expected, zh: expected }
}

function sentence(issue: ZodIssue, definition: Json, path: Path): Omit<DefinitionIssue, 'path'> {
  const value = readPath(definition, path.map(String))
  if (value === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value')) {
    return missing(path)
  }
  if (issue.code === 'custom') {
    const { text, fix, index } = paramsOf(issue.params)
    const place = index === undefined ? {} : { index }
    if (text !== null) return { message: { en: `${text.en}.`, zh: `${text.zh}。` }, fix, ...place }
  }
  if (issue.code === 'invalid_type') {
    const word = wordOf(issue.expected)
    return { message: { en: `It must be ${word.en}.`, zh: `必须是${word.zh}。` }, fix: null }
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String)
    const near = typeof value === 'string' ? nearest(value, values) : null
    return {
      message: { en: `It must be ${values.join(' or ')}.`, zh: `必须是 ${values.join(' 或 ')}。` },
      fix: near === null ? null : { en: `Did you mean "${near}"?`, zh: `是否想写 "${near}"？` },
    }
  }
  if (issue.code === 'too_small' && value === '') {
    return { message: { en: 'It must not be empty.', zh: '不能为空。' }, fix: null }
  }
  return { message: bounds(issue), fix: null }
}

function missing(path: Path): Omit<DefinitionIssue, 'path'> {
  const key = String(path.at(-1))
  return {
    message: { en: `"${key}" is missing.`, zh: `缺少 "${key}"。` },
    fix: { en: `Add "${key}".`, zh: `请添加 "${key}"。` },
  }
}

function bounds(issue: ZodIssue): Text {
  if (issue.code === 'too_small')
    return { en: `It must be ${issue.minimum} or more.`, zh: `不能小于 ${issue.minimum}。` }
  if (issue.code === 'too_big') return { en: `It must be ${issue.maximum} or less.`, zh: `不能大于 ${issue.maximum}。` }
  return { en: 'It does not have the right form.', zh: '格式不正确。' }
}

/** What `problem` of setting.ts put there. */
function paramsOf(params: unknown): { readonly text: Text | null; readonly fix: Text | null; readonly index?: number } {
  if (!isJsonObject(params)) return { text: null, fix: null }
  const text = textOf(params.text)
  const fix = isJsonObject(params.text) ? textOf(params.text.fix) : null
  return { text, fix, ...(typeof params.index === 'number' ? { index: params.index } : {}) }
}

function textOf(value: unknown): Text | null {
  if (!isJsonObject(value) || typeof value.en !== 'string' || typeof value.zh !== 'string') return null
  return { en: value.en, zh: value.zh }
}
