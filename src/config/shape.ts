/** The values of the file in the shape of the schema, with defaults; parts that do not fit are left at their default. */
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import type { Overrides } from './issues.ts'
import type { Path, Problem } from './problem.ts'
import type { References } from './references.ts'
import { configSchema, type WrittenConfig } from './schema.ts'
import { flatIssues, schemaProblems } from './schema-problems.ts'

type Options = {
  readonly overrides: Overrides
  readonly references: References
  readonly keysAt: (path: Path) => readonly string[]
}

export type Shape = {
  readonly written: WrittenConfig
  readonly problems: readonly Problem[]
  /** Where a path of `written` stands in the file: elements that were cut out of lists before it are counted again. */
  readonly original: (path: Path) => Path
}

/** Rounds of cutting out what does not fit; each makes the tree smaller. */
const roundsMax = 64

/**
 * Whatever does not fit is reported and cut out, and the rest is read again, so that one mistyped key does not hide
 * what the other parts mean.
 */
export function readShape(value: JsonObject, { overrides, references, keysAt }: Options): Shape {
  // A key whose contents are all commented out stands there with nothing behind it.
  const present = Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null))
  let root: Json = withOverrides(present, overrides)
  const problems: Problem[] = []
  const original = (path: Path): Path => originalPath(root, path)
  for (let round = 0; round < roundsMax; round += 1) {
    const parsed = configSchema.safeParse(compacted(root), { reportInput: true })
    if (parsed.success) return { written: parsed.data, problems, original }
    const issues = flatIssues(parsed.error.issues).map((issue) => ({
      ...issue,
      path: [...original(asPath(issue.path))],
    }))
    const typed = issues.map(({ path }) => path).filter((path) => references.typed(path) !== undefined)
    if (round === 0 && typed.length > 0) {
      for (const path of typed) root = changed(root, path, references.typed(path))
      continue
    }
    problems.push(...schemaProblems(issues, keysAt))
    for (const issue of issues) {
      const cuts = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path]
      for (const cut of cuts) root = without(root, cut)
    }
  }
  return { written: configSchema.parse({}), problems, original }
}

/** Stands in a list for an element that was cut out, so that the places of the others are not forgotten. */
const hole = '\u0000cut'

/** The tree without what stands at `path`. A required key that is missing takes the thing around it along. */
function without(root: Json, path: Path): Json {
  const at = valueAt(root, path) === undefined ? path.slice(0, -1) : path
  if (at.length === 0) return root
  return changed(root, at, typeof at.at(-1) === 'number' ? hole : undefined)
}

function compacted(value: Json): Json {
  if (isList(value)) return value.filter((item) => item !== hole).map(compacted)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, compacted(member)]))
}

function originalPath(root: Json, path: Path): Path {
  const result: (string | number)[] = []
  let value: Json | undefined = root
  for (const segment of path) {
    const at: string | number = typeof segment === 'number' && value !== undefined ? uncut(value, segment) : segment
    result.push(at)
    value = value === undefined ? undefined : valueAt(value, [at])
  }
  return result
}

/** The index that an element of the compacted list has in the list with holes. */
function uncut(list: Json, index: number): number {
  if (!isList(list)) return index
  const kept = [...list.keys()].filter((at) => list[at] !== hole)
  return kept[index] ?? index
}

function valueAt(root: Json, path: Path): Json | undefined {
  let value: Json | undefined = root
  for (const segment of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = isJsonObject(value) ? value[segment] : value[Number(segment)]
  }
  return value
}

/** The tree with another value at `path`, or without that key when the value is undefined. */
function changed(root: Json, [key, ...rest]: Path, value: Json | undefined): Json {
  if (key === undefined) return value ?? null
  if (isList(root)) return root.map((item, index) => (index === Number(key) ? changed(item, rest, value) : item))
  if (!isJsonObject(root)) return root
  const inner = root[key]
  if (rest.length > 0) return inner === undefined ? root : { ...root, [key]: changed(inner, rest, value) }
  if (value !== undefined) return { ...root, [key]: value }
  return Object.fromEntries(Object.entries(root).filter(([name]) => name !== key))
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function withOverrides(root: JsonObject, overrides: Overrides): Json {
  let result: Json = root
  if (overrides.listen !== undefined) {
    const server = isJsonObject(root.server) ? root.server : {}
    result = changed(result, ['server'], { ...server, listen: overrides.listen })
  }
  return overrides.store === undefined ? result : changed(result, ['store'], overrides.store)
}

function asPath(path: readonly PropertyKey[]): Path {
  return path.map((segment) => (typeof segment === 'number' ? segment : String(segment)))
}
