/** Globs over source names: `*` stands for any characters, slashes included; everything else stands for itself. */

export type Matcher = (name: string) => boolean

/**
 * Compiles globs once; a name matches when any of them does. The work is linear in the name's length for any number
 * of stars, which a regular expression with several `.*` would not promise.
 */
export function compileGlobs(globs: readonly string[]): Matcher {
  if (globs.includes('*')) return () => true
  const exact = new Set(globs.filter((glob) => !glob.includes('*')))
  const open = globs.filter((glob) => glob.includes('*')).map(compileOne)
  return (name) => exact.has(name) || open.some((matches) => matches(name))
}

function compileOne(glob: string): Matcher {
  const parts = glob.split('*')
  const head = parts[0] ?? ''
  const tail = parts.at(-1) ?? ''
  const middle = parts.slice(1, -1).filter((part) => part !== '')
  return (name) => {
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false
    const end = name.length - tail.length
    let from = head.length
    for (const part of middle) {
      const at = name.indexOf(part, from)
      if (at === -1 || at + part.length > end) return false
      from = at + part.length
    }
    return true
  }
}
