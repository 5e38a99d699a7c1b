/** Where in the text a path is written, through aliases and merge keys. */
import { isAlias, isMap, isScalar, isSeq, type Document, type Pair } from 'yaml'
import type { InText, Path } from './problem.ts'

export type Written = { readonly document: Document; readonly source: string }

/**
 * The offset of a path's key or value, or of a character inside the value; for a path that is not written, of the nearest
 * key above it, and for a character that cannot be found, of its value.
 */
export function placeOf({ document, source }: Written, path: Path, at: 'key' | 'value' | InText): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [depth, segment] of path.entries()) {
    const holder = isAlias(node) ? node.resolve(document) : node
    const found = isSeq(holder) ? itemOf(holder.items, segment) : memberOf(document, holder, String(segment), 0)
    if (found === undefined) return offset
    const isLast = depth === path.length - 1
    const wanted =
      isLast && at !== 'key'
        ? (startOf(found.value) ?? startOf(found.key))
        : (startOf(found.key) ?? startOf(found.value))
    offset = (isLast && typeof at === 'object' ? placeInside(source, found.value, at) : undefined) ?? wanted ?? offset
    node = found.value
  }
  return offset
}

/**
 * Quotes, escapes and references move the letters around a template, but never those inside it: the n-th `{{` of the
 * value is the n-th in the source.
 */
function placeInside(source: string, node: unknown, { index, of }: InText): number | undefined {
  const range = isScalar(node) ? node.range : undefined
  const hole = of.lastIndexOf('{{', index)
  if (range == null || hole === -1) return undefined
  const raw = source.slice(range[0], range[1])
  let at = raw.indexOf('{{')
  for (let left = of.slice(0, hole).split('{{').length - 1; left > 0 && at !== -1; left -= 1) {
    at = raw.indexOf('{{', at + 2)
  }
  const isSame = at !== -1 && raw.startsWith(of.slice(hole, index + 1), at)
  return isSame ? range[0] + at + index - hole : undefined
}

type Found = { readonly key: unknown; readonly value: unknown }

function itemOf(items: readonly unknown[], segment: string | number): Found | undefined {
  const value = items[Number(segment)]
  return value === undefined ? undefined : { key: undefined, value }
}

/** A key of a mapping, its own or one that comes by a merge key. `depth` bounds merges of merges. */
function memberOf(document: Document, node: unknown, key: string, depth: number): Found | undefined {
  const holder = isAlias(node) ? node.resolve(document) : node
  if (depth > 8) return undefined
  if (isSeq(holder)) return firstOf(holder.items, (item) => memberOf(document, item, key, depth + 1))
  if (!isMap(holder)) return undefined
  const own = indexOf(holder).get(key)
  if (own !== undefined) return own
  const merges = holder.items.filter((pair) => isScalar(pair.key) && typeof pair.key.value === 'symbol')
  return firstOf(merges, (pair) => memberOf(document, pair.value, key, depth + 1))
}

/** Pairs by key, made once for each mapping: a file of many sources with many faults would take for ever otherwise. */
const indexes = new WeakMap<object, ReadonlyMap<string, Pair>>()

function indexOf(holder: { readonly items: readonly Pair[] }): ReadonlyMap<string, Pair> {
  const known = indexes.get(holder)
  if (known !== undefined) return known
  // The last of two equal keys is the one that counts.
  const made = new Map(
    holder.items.flatMap((pair) => {
      const name = nameOf(pair)
      return name === undefined ? [] : [[name, pair] as const]
    }),
  )
  indexes.set(holder, made)
  return made
}

function nameOf(pair: Pair): string | undefined {
  return isScalar(pair.key) && typeof pair.key.value !== 'symbol' ? String(pair.key.value) : undefined
}

function firstOf<T>(items: readonly T[], find: (item: T) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

function startOf(node: unknown): number | undefined {
  if (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)) return node.range?.[0]
  return undefined
}
