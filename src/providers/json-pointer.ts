/** JSON Pointer (RFC 6901) over parsed answers. Only own properties are seen, so `/__proto__` finds nothing. */

/** A parsed pointer. */
export type Pointer = { readonly text: string; readonly segments: readonly string[] }

/** Null when the text is no JSON Pointer. */
export function parsePointer(text: string): Pointer | null {
  if (text === '') return { text, segments: [] }
  if (!text.startsWith('/') || /~(?![01])/.test(text)) return null
  const segments = text
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
  return { text, segments }
}

/** What stands at a path of keys and indexes; undefined when nothing does. */
export function readPath(value: unknown, segments: readonly string[]): unknown {
  let here = value
  for (const segment of segments) {
    if (typeof here !== 'object' || here === null) return undefined
    if (Array.isArray(here) && !/^(?:0|[1-9]\d{0,5})$/.test(segment)) return undefined
    if (!Object.hasOwn(here, segment)) return undefined
    here = Reflect.get(here, segment) as unknown
  }
  return here
}
