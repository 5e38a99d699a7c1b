/** Sources: names, definitions (judged by the provider catalogue), and the graph of who needs whose token. */
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import type { DefinitionIssue, ParseSource, Siblings } from '../model/definition.ts'
import { chainLengthMax, findCycles, longestChains } from '../model/graph.ts'
import { rivals, sourceName, type Source } from '../model/source.ts'
import { dotted, problem, type InText, type Path, type Problem, type Where } from './problem.ts'
import type { Checked } from './server-checks.ts'
import { nearest } from '../base/suggest.ts'

type Judge = {
  /** Every name that the file gives to a source, those without a usable definition included. */
  readonly allNames: readonly string[]
  readonly parseSource: ParseSource
  /** The value as a number or a boolean when it came from an unquoted `${NAME}`. */
  readonly typed: (path: Path) => number | boolean | undefined
}

export function checkSources(written: { readonly sources: unknown }, judge: Judge): Checked<readonly Source[]> {
  const { allNames } = judge
  const names = new Set(allNames)
  const problems: Problem[] = []
  const sources: Source[] = []
  const definitions = isJsonObject(written.sources) ? Object.entries(written.sources) : []
  const byName = new Map(definitions)
  const siblings: Siblings = (other) => {
    const sibling = byName.get(other)
    return isJsonObject(sibling) ? sibling : undefined
  }
  for (const [name, definition] of definitions) {
    const path = ['sources', name]
    if (!sourceName.test(name)) problems.push(badName(name, path))
    // A definition that is no mapping was told by the schema.
    if (!isJsonObject(definition)) continue
    const parsed = parse(name, definition, { ...judge, siblings })
    if (parsed.ok) {
      sources.push(parsed.source)
      continue
    }
    // What it needs is not known then, but a parent is written in plain sight.
    const isTold = parsed.issues.some(({ path: [first] }) => first === 'of')
    if (typeof definition.of === 'string' && !names.has(definition.of) && !isTold) {
      problems.push(unknownSource(definition.of, { path: [...path, 'of'] }, allNames))
    }
    for (const issue of parsed.issues) {
      const where = { path: [...path, ...issue.path], at: placeIn(definition, issue) }
      problems.push(problem('source_invalid', where, issue.message, issue.fix))
    }
  }
  const finder = new ReferencePlaces(Object.fromEntries(definitions))
  for (const { name, needs } of sources) {
    const unknown = needs.filter((need) => !names.has(need))
    problems.push(...unknown.map((need) => unknownSource(need, finder.find(name, need), allNames)))
  }
  problems.push(...graphProblems(sources, finder), ...rivals(sources).map(rivalProblem), ...sharedSeeds(sources))
  return { value: sources, problems }
}

/** Two sources of one account would kill each other's tokens, which is what this program is there to prevent. */
function rivalProblem({ source, first }: { readonly source: Source; readonly first: Source }): Problem {
  return problem(
    'source_invalid',
    { path: ['sources', source.name], at: 'key' },
    {
      en: `This is the same account as sources.${first.name}: each would retire the other's token.`,
      zh: `与 sources.${first.name} 是同一个账号：两者会互相使对方的令牌失效。`,
    },
    {
      en: `Keep one of them, and let everybody read ${first.name}.`,
      zh: `只保留其中一个，其余程序都读取 ${first.name}。`,
    },
  )
}

/** Two sources that begin with one refresh token: the first that uses it up leaves the other without. */
function sharedSeeds(sources: readonly Source[]): Problem[] {
  const firstOf = new Map<string, string>()
  return sources.flatMap(({ name, seed, semantics }) => {
    if (seed === null || semantics.grant === undefined || semantics.grant.rotates === 'never') return []
    const first = firstOf.get(seed.digest)
    if (first === undefined) {
      firstOf.set(seed.digest, name)
      return []
    }
    const message = {
      en: `This is the refresh token of sources.${first}, too: whichever uses it first leaves the other without one.`,
      zh: `sources.${first} 也使用同一个 refresh token：先使用它的一方会使另一方失去凭据。`,
    }
    const fix = {
      en: `Authorise ${name} for itself, or keep one source and let everybody read that.`,
      zh: `请为 ${name} 单独授权，或只保留一个来源供所有程序读取。`,
    }
    return [problem('source_invalid', { path: ['sources', name], at: 'key' }, message, fix)]
  })
}

/** Tries again with numbers and booleans where the provider wants them and an unquoted reference brought a text. */
function parse(
  name: string,
  definition: JsonObject,
  { parseSource, typed, siblings }: Judge & { readonly siblings: Siblings },
): ReturnType<ParseSource> {
  const parsed = parseSource(name, definition, 'file', siblings)
  if (parsed.ok) return parsed
  let mended: JsonObject = definition
  for (const { path } of parsed.issues) {
    const value = typed(['sources', name, ...path])
    if (value !== undefined) mended = replaced(mended, path, value)
  }
  return mended === definition ? parsed : parseSource(name, mended, 'file', siblings)
}

function replaced(object: JsonObject, [key, ...rest]: Path, value: Json): JsonObject {
  if (key === undefined) return object
  const inner = object[key]
  return { ...object, [key]: rest.length > 0 && isJsonObject(inner) ? replaced(inner, rest, value) : value }
}

function badName(name: string, path: Path): Problem {
  const message = {
    en: 'A source is named with letters, digits and _ . : @ / - (128 at most), beginning with a letter, digit or _.',
    zh: '来源名称只能用字母、数字和 _ . : @ / -（最多 128 个字符），且以字母、数字或 _ 开头。',
  }
  const plain = name
    .trim()
    .replace(/[^A-Za-z0-9_.:@/-]+/g, '_')
    .replace(/^[^A-Za-z0-9_]+/, '')
  const fix = plain === '' || plain === '_' ? null : { en: `Call it "${plain}".`, zh: `可改名为 "${plain}"。` }
  return problem('source_name', { path, at: 'key' }, message, fix)
}

function unknownSource(need: string, where: Where, names: readonly string[]): Problem {
  const close = nearest(need, names)
  const message = { en: `There is no source "${need}".`, zh: `没有名为 "${need}" 的来源。` }
  const fix =
    close === null
      ? { en: `Add a source "${need}", or mend the name.`, zh: `请添加来源 "${need}"，或修正名称。` }
      : { en: `Did you mean "${close}"?`, zh: `是否想写 "${close}"？` }
  return problem('source_unknown', where, message, fix)
}

function graphProblems(sources: readonly Source[], finder: ReferencePlaces): Problem[] {
  const needs = new Map(sources.map(({ name, needs: own }) => [name, own]))
  const cycles = findCycles(needs)
  if (cycles.length > 0) {
    return cycles.map((cycle) => {
      const arrows = cycle.join(' → ')
      const message = { en: `These sources wait for each other: ${arrows}.`, zh: `来源循环依赖：${arrows}。` }
      const fix = { en: 'Take one of the references out.', zh: '请去掉其中一处引用。' }
      const [first = '', second = ''] = cycle
      return problem('source_cycle', finder.find(first, second), message, fix)
    })
  }
  const chains = [...longestChains(needs)].filter(([, chain]) => chain.length === chainLengthMax + 1)
  return chains.map(([name, chain]) => {
    const message = {
      en: `More than ${chainLengthMax} tokens in a row: ${chain.join(' → ')}.`,
      zh: `依赖链超过 ${chainLengthMax} 层：${chain.join(' → ')}。`,
    }
    const fix = { en: 'Let it refer to an earlier source.', zh: '请改为引用更靠前的来源。' }
    return problem('source_too_deep', finder.find(name, chain[1] ?? ''), message, fix)
  })
}

/** Finds the value in which a source names another one: `of: NAME`, or a template that holds the name. */
class ReferencePlaces {
  readonly #definitions: Readonly<Record<string, Json>>

  constructor(definitions: Readonly<Record<string, Json>>) {
    this.#definitions = definitions
  }

  find(name: string, need: string): Where {
    const path = ['sources', name]
    return search(this.#definitions[name], need, path) ?? { path }
  }
}

function search(value: Json | undefined, need: string, path: Path): Where | null {
  if (typeof value === 'string') {
    const index = indexOf(value, need, path)
    return index === null ? null : { path, at: { index, of: value } }
  }
  if (typeof value !== 'object' || value === null) return null
  const members: [string | number, Json][] = isJsonObject(value) ? Object.entries(value) : [...value.entries()]
  for (const [key, member] of members) {
    const found = search(member, need, [...path, key])
    if (found !== null) return found
  }
  return null
}

/** Where a text names the source; null when it does not. */
function indexOf(text: string, need: string, path: Path): number | null {
  if (text === need) return dotted(path).endsWith('.of') ? 0 : null
  const escaped = need.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const named = new RegExp(`(?<![A-Za-z0-9_])${escaped}(?![A-Za-z0-9_])`)
  for (const { index, 1: inner = '' } of text.matchAll(/\{\{(.*?)\}\}/gs)) {
    const found = named.exec(inner)
    if (found !== null) return index + 2 + found.index
  }
  return null
}

/** The place of an issue: the source's key when all of it is meant, and inside a text where that is known. */
function placeIn(definition: Json, { path, index }: DefinitionIssue): 'key' | 'value' | InText {
  if (path.length === 0) return 'key'
  const text = path.reduce<Json | undefined>(memberOf, definition)
  return index === undefined || typeof text !== 'string' ? 'value' : { index, of: text }
}

function memberOf(value: Json | undefined, segment: string | number): Json | undefined {
  if (isJsonObject(value)) return value[segment]
  return Array.isArray(value) ? (value as readonly Json[])[Number(segment)] : undefined
}
