/**
 * The YAML text as a tree of values with places. Anchors and merge keys (`<<`) work; what could make the tree
 * endless or enormous (an alias inside itself, aliases of aliases, deep nesting) is refused before it is built.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Pair,
  type Scalar,
} from 'yaml'
import type { JsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'
import { bareBracesFix, bareBracesMessage } from './bare-braces.ts'
import { problem, type InText, type Path, type Problem } from './problem.ts'
import { placeOf } from './places.ts'
import { syntaxProblems } from './yaml-errors.ts'

/** A tree that is still being filled in: texts that name a file get their value later. */
export type Tree = null | boolean | number | string | Tree[] | { [key: string]: Tree }

export type TextScalar = {
  readonly path: Path
  readonly text: string
  /** Written without quotes, so that a reference may stand for a number or a boolean. */
  readonly plain: boolean
  /** The offset in the source of the text's character `index`, or of the scalar where that cannot be told. */
  readonly offsetOf: (index: number) => number
  /** Replaces the value in the finished tree. */
  readonly replace: (value: string) => void
}

export type ConfigDocument = {
  readonly value: JsonObject
  readonly problems: readonly Problem[]
  /** The syntax is so broken that the value means nothing. */
  readonly broken: boolean
  /** Offset of a path's key, value or part of its value, or of the nearest thing above it that is written down. */
  readonly offset: (path: Path, at: 'key' | 'value' | InText) => number
  /** Line and column, both from 1. */
  readonly lineAndColumn: (offset: number) => { readonly line: number; readonly column: number }
}

/** Values that aliases may add in all, beside one for each character of the file: more is an attack or a mistake. */
const aliasNodesMax = 50_000
const depthMax = 64

/** Parses `text`; `onText` sees every string value in order and answers what stands in the tree for now. */
export function readDocument(text: string, onText: (scalar: TextScalar) => string): ConfigDocument {
  const lineCounter = new LineCounter()
  // uniqueKeys costs a comparison of every key with every other; the builder below does it with a set.
  const document = parseDocument(text, { lineCounter, merge: true, uniqueKeys: false, prettyErrors: false })
  const lineAndColumn = (offset: number): { line: number; column: number } => {
    const { line, col } = lineCounter.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const offset: ConfigDocument['offset'] = (path, at) => placeOf({ document, source: text }, path, at)
  const syntax = syntaxProblems(document, text, (at) => lineAndColumn(at).line)
  if (syntax.length > 0) return { value: {}, problems: syntax, broken: true, offset, lineAndColumn }
  const builder = new Builder(document, text, onText)
  const value = builder.build(document.contents, [], 0)
  const problems = [...builder.problems]
  const isMapping = value === null || (typeof value === 'object' && !Array.isArray(value))
  if (!isMapping) problems.push(problem('value_type', { path: [] }, notMapping, mappingFix))
  return { value: isMapping ? (value ?? {}) : {}, problems, broken: !isMapping, offset, lineAndColumn }
}

const notMapping: Text = {
  en: 'The configuration must be a mapping of keys to values.',
  zh: '配置必须是由键和值组成的映射。',
}
const mappingFix: Text = { en: 'Begin with a line such as "sources:".', zh: '以 "sources:" 这样的一行开头。' }

/** The children of one mapping: `own` are written in it, the others come by merge keys and lose against them. */
type Member = { readonly key: string; readonly pair: Pair; readonly own: boolean }

class Builder {
  readonly problems: Problem[] = []
  readonly #document: Document
  readonly #source: string
  readonly #onText: (scalar: TextScalar) => string
  readonly #open = new Set<unknown>()
  readonly #aliasNodesMax: number
  #aliasNodes = 0
  #aliasDepth = 0
  #refused = false

  constructor(document: Document, source: string, onText: (scalar: TextScalar) => string) {
    this.#document = document
    this.#source = source
    this.#aliasNodesMax = aliasNodesMax + source.length
    this.#onText = onText
  }

  build(node: unknown, path: Path, depth: number): Tree {
    if (this.#aliasDepth > 0) this.#aliasNodes += 1
    if (this.#aliasNodes > this.#aliasNodesMax || depth > depthMax) return this.#refuse(path, depth > depthMax)
    if (isAlias(node)) return this.#followed(node, path, (target) => this.build(target, path, depth + 1)) ?? null
    if (isScalar(node)) return this.#scalar(node, path)
    if (isSeq(node)) return this.#inside(node, () => this.#list(node.items, path, depth))
    if (isMap(node)) return this.#inside(node, () => this.#mapping(node, path, depth))
    return null
  }

  #list(items: readonly unknown[], path: Path, depth: number): Tree[] {
    const list: Tree[] = []
    for (const [index, item] of items.entries()) {
      const at = [...path, index]
      const value = this.build(item, at, depth + 1)
      list.push(value)
      this.#text(item, at, value, (text) => (list[index] = text))
    }
    return list
  }

  #mapping(node: { readonly items: readonly Pair[] }, path: Path, depth: number): Tree {
    const members = new Map<string, Member>()
    this.#collect(node, { path, own: true, into: members })
    const object: Record<string, Tree> = {}
    for (const [key, { pair }] of members) {
      const at = [...path, key]
      const value = this.build(pair.value, at, depth + 1)
      object[key] = value
      this.#text(pair.value, at, value, (text) => (object[key] = text))
    }
    return object
  }

  /** Offers a string to `onText`, with a way to replace it in the object or list that holds it. */
  #text(node: unknown, path: Path, value: Tree, replace: (text: string) => void): void {
    if (typeof value !== 'string') return
    const scalar = isAlias(node) ? node.resolve(this.#document) : node
    if (!isScalar(scalar)) return
    const start = scalar.range?.[0] ?? 0
    const quoted = scalar.type === 'QUOTE_DOUBLE' || scalar.type === 'QUOTE_SINGLE'
    const first = start + (quoted ? 1 : 0)
    const verbatim = this.#source.startsWith(value, first)
    const offsetOf = (index: number): number => (verbatim ? first + index : start)
    replace(this.#onText({ path, text: value, plain: scalar.type === 'PLAIN', offsetOf, replace }))
  }

  #collect(
    node: { readonly items: readonly Pair[] },
    options: { readonly path: Path; readonly own: boolean; readonly into: Map<string, Member> },
  ): void {
    const { path, own, into } = options
    const merges: unknown[] = []
    const seen = new Set<string>()
    for (const pair of node.items) {
      if (isScalar(pair.key) && typeof pair.key.value === 'symbol') {
        merges.push(pair.value)
        continue
      }
      const key = this.#key(pair, path)
      if (key === null) continue
      if (seen.has(key)) this.#duplicate(pair, path, key)
      seen.add(key)
      if (own || !into.has(key)) into.set(key, { key, pair, own })
    }
    for (const merge of merges) this.#merge(merge, path, into)
  }

  #merge(node: unknown, path: Path, into: Map<string, Member>): void {
    this.#aliasNodes += 1
    if (this.#refused) return
    if (this.#aliasNodes > this.#aliasNodesMax) {
      this.#refuse(path, false)
    } else if (isAlias(node)) {
      this.#followed(node, path, (target) => {
        this.#merge(target, path, into)
        return null
      })
    } else if (isSeq(node)) {
      this.#inside(node, () => {
        for (const item of node.items) this.#merge(item, path, into)
        return null
      })
    } else if (isMap(node)) {
      this.#inside(node, () => {
        this.#aliasNodes += node.items.length
        this.#collect(node, { path, own: false, into })
        return null
      })
    } else {
      this.problems.push(problem('yaml_bad_value', { path }, badMerge))
    }
  }

  #key(pair: Pair, path: Path): string | null {
    const scalar = isAlias(pair.key) ? pair.key.resolve(this.#document) : pair.key
    const value = isScalar(scalar) ? scalar.value : undefined
    const key =
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : null
    // An object with a key of this name would change its prototype instead of holding the value.
    if (key !== null && key !== '__proto__') return key
    this.problems.push(this.#badKey(pair, path))
    return null
  }

  #badKey(pair: Pair, path: Path): Problem {
    const at = offsetOfKey(pair)
    // `{{NAME}}` without quotes is a mapping whose only key is a mapping.
    const isTemplate = at !== undefined && isMap(pair.key) && this.#source.startsWith('{{', at - 1)
    if (isTemplate) return problem('yaml_bad_value', { path, at: at - 1 }, bareBracesMessage, bareBracesFix)
    return problem('yaml_bad_key', { path, at: at ?? 'value' }, badKey)
  }

  #duplicate(pair: Pair, path: Path, key: string): void {
    const message = { en: `The key "${key}" is written twice here.`, zh: `键 "${key}" 在此处重复。` }
    const fix = { en: 'Keep one of the two.', zh: '两处只保留一处。' }
    this.problems.push(
      problem('yaml_duplicate_key', { path: [...path, key], at: offsetOfKey(pair) ?? 'key' }, message, fix),
    )
  }

  #scalar(node: Scalar, path: Path): Tree {
    const { value } = node
    if (value === null || value === undefined) return null
    if (typeof value === 'string' || typeof value === 'boolean') return value
    if (typeof value === 'number' && Number.isFinite(value)) return value
    this.problems.push(problem('yaml_bad_value', { path, at: node.range?.[0] ?? 'value' }, badValue))
    return null
  }

  #followed(
    alias: { readonly range?: readonly number[] | null; readonly source: string; resolve(document: Document): unknown },
    path: Path,
    use: (target: unknown) => Tree,
  ): Tree {
    const target = alias.resolve(this.#document)
    const at = alias.range?.[0] ?? 'value'
    if (target === undefined) {
      const message = {
        en: `There is no anchor "&${alias.source}" above this line.`,
        zh: `此行之前没有锚点 "&${alias.source}"。`,
      }
      this.problems.push(problem('yaml_bad_alias', { path, at }, message))
      return null
    }
    if (this.#open.has(target)) {
      this.problems.push(problem('yaml_bad_alias', { path, at }, selfAlias))
      return null
    }
    this.#aliasDepth += 1
    const value = use(target)
    this.#aliasDepth -= 1
    return value
  }

  #inside<T>(node: unknown, build: () => T): T {
    this.#open.add(node)
    const value = build()
    this.#open.delete(node)
    return value
  }

  #refuse(path: Path, deep: boolean): null {
    if (!this.#refused)
      this.problems.push(problem(deep ? 'yaml_too_deep' : 'yaml_bad_alias', { path }, deep ? tooDeep : tooMany))
    this.#refused = true
    return null
  }
}

function offsetOfKey(pair: Pair): number | undefined {
  const { key } = pair
  return isScalar(key) || isMap(key) || isSeq(key) || isAlias(key) ? key.range?.[0] : undefined
}

const badKey: Text = { en: 'This cannot be a key: a name is needed.', zh: '这不能作为键：需要一个名称。' }
const badValue: Text = {
  en: 'This kind of value is not known here; use text, a number, true or false.',
  zh: '此处不支持这种值；请使用文本、数字、true 或 false。',
}
const badMerge: Text = {
  en: 'A merge key "<<" takes a mapping or a list of mappings.',
  zh: '合并键 "<<" 只接受映射或映射的列表。',
}
const selfAlias: Text = { en: 'This alias stands inside the thing it names.', zh: '该别名位于它所指的内容之中。' }
const tooDeep: Text = { en: `Nested deeper than ${String(depthMax)} levels.`, zh: `嵌套超过 ${String(depthMax)} 层。` }
const tooMany: Text = {
  en: 'The aliases unfold into far too many values.',
  zh: '别名展开后的值过多。',
}
